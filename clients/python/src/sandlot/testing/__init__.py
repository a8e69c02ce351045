"""
A server in memory, for tests of adapters: it keeps to the wire and the table of states of the real one, needs neither
root nor Node nor a container runtime, and starts in milliseconds.

    with sandlot.testing.FakeServer([FakeTask("sum", {"answer.txt": "?"}, solves=...)]) as server:
        sandlot.connect(server.address)

Commands run in a little shell of its own (`Shell`), over files in memory; what they lack is given as `commands`.
"""

from .server import FakeServer
from .shell import Command, Shell
from .tasks import FakeTask

__all__ = ["Command", "FakeServer", "FakeTask", "Shell"]
