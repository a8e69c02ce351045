"""A real `sandlot serve` for tests, and a look at what a server left on the machine."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[2]
CLI = ["scripts/node", "src/cli/main.ts"]
# Of waits that only a machine many times slower than a quiet one comes near to.
DEADLINE_S = 180.0
NAP = f"3600.{os.getpid()}"
"""How long a command sleeps, in seconds, that goes on when a test says so: see `wake`."""


def free_port() -> int:
    """A loopback port on which nobody listens, below those that connections take for themselves: the server is started again on the same one."""
    first_taken = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.SystemRandom().sample(range(10_000, first_taken), 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError(f"no port between 10000 and {first_taken} is free")


def wake() -> int:
    """Ends every `sleep NAP`, in sandboxes too, as if its time were over; how many there were."""
    napping = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _read(f"/proc/{pid}/cmdline") == f"sleep\0{NAP}\0"]
    for pid in napping:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGPIPE)  # of which a shell says nothing
    return len(napping)


class Serving(Protocol):
    """A server as tests of behaviour see it: this one, or the fake of `sandlot.testing`."""

    @property
    def address(self) -> str: ...

    def leftovers(self) -> dict[str, list[str]]: ...


@dataclass
class Server:
    """One state folder and one address; the process may come and go."""

    folder: Path
    config: str = ""
    tasks: list[Path] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    command: list[str] = field(default_factory=lambda: [*CLI])
    """What starts it, from the repository's root."""
    token: str | None = None
    """For those who clean up behind a test."""
    tls: dict[str, str] = field(default_factory=dict)
    """The same."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, crash_at: str = "", environment: dict[str, str] | None = None) -> Server:
        """Returns when health is SERVING. `crash_at`: see test/support/crash-at-write.ts."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        config = self.folder / "config.yaml"
        config.write_text(self.config or "{}\n")
        preload = ["--import", str(ROOT / "test/support/crash-at-write.ts")] if crash_at else []
        arguments = ["serve", "--config", str(config), "--state", str(self.state), "--listen", self.address, "--ready-file", str(ready)]
        for path in self.tasks:
            arguments += ["--tasks", str(path)]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.command[0], *preload, *self.command[1:], *arguments],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for who drives it
                env={**os.environ, "CRASH_AT": crash_at, **(environment or {})},
            )
        self.wait_until(lambda: ready.exists() or self.ended, "the server to be ready")
        if self.ended and not crash_at:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log[-4000:]}")
        return self

    @property
    def ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        """As by kill -9."""
        if self.process and not self.ended:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """SIGTERM, as a service manager does; the exit code."""
        assert self.process
        if not self.ended:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=DEADLINE_S)

    @staticmethod
    def wait_until(holds, what: str, seconds: float = DEADLINE_S) -> None:
        until = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < until, f"waited {seconds:.0f} s for {what}"
            time.sleep(0.05)

    @property
    def instance(self) -> str:
        """The part of every id that tells whose it is."""
        return (self.state / "instance").read_text().strip()

    def leftovers(self) -> dict[str, list[str]]:
        """What on this machine belongs to this server's sandboxes."""
        state = str(self.state)
        mark = f"sandlot-{self.instance}" if (self.state / "instance").exists() else state

        def ours(text: str) -> bool:
            return mark in text or state in text

        pids = [pid for pid in os.listdir("/proc") if pid.isdigit()]
        return {
            # Each in the mount namespace that has it, so that one outside this one is seen too.
            "mounts": sorted({line.split()[4] for pid in ["self", *pids] for line in _read(f"/proc/{pid}/mountinfo").splitlines() if ours(line)}),
            "cgroups": control_groups(mark),
            "processes": [pid for pid in pids if ours(_traces(pid)) and pid != str(self.process.pid if self.process else "")],
            "sandboxes": [str(path.relative_to(self.state)) for folder in ("sandboxes", "runtime") for path in (self.state / folder).glob("*")],
            "loops": [line for line in _run("losetup", "-a").splitlines() if state in line],
        }

    def wait_until_gone(self, names: Collection[str]) -> None:
        """Sandboxes are removed behind the answer to a release, their folders last: until no folder has such a name any more."""
        folders = [path / "sandboxes" / name for path in (self.state, *self.state.glob("backends/*")) for name in names]
        self.wait_until(lambda: not any(path.exists() for path in folders), "the sandboxes that were released to go")

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def control_groups(mark: str) -> list[str]:
    """Those whose name begins so. Others come and go while this looks."""
    return [os.path.join(folder, name) for folder, names, _ in os.walk("/sys/fs/cgroup") for name in names if name.startswith(mark)]


def _traces(pid: str) -> str:
    """Where a process shows whose it is: its cgroup, and on a backend without one its command and where it works."""
    try:
        place = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        place = ""
    return _read(f"/proc/{pid}/cgroup") + _read(f"/proc/{pid}/cmdline") + place


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _run(*command: str) -> str:
    found = shutil.which(command[0]) or f"/sbin/{command[0]}"
    return subprocess.run([found, *command[1:]], capture_output=True, text=True, check=False).stdout
