"""Servers for end-to-end tests. Each test that breaks its server has one of its own; the others share one."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from backends import ISOLATED, NEEDS_ROOT, leave_out
from bundled import task_file
from sandlot.testing import FakeServer, FakeTask
from server import NAP, Server

BY_NAME = {"test_e2b_images.py", "test_second_engine.py"}
"""Files that take long: played when their path is given, not with the folder."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    named = any(Path(argument.partition("::")[0]).name == collection_path.name for argument in config.args)
    return True if collection_path.name in BY_NAME and not named else None


PROCESS = "backend: { type: process, commands_run_unprotected_on_this_host: true }\n"
SMALL_POOL = "pools: { default: {}, two: { slots: 2, queue: 2 } }\ngrading: { slots: 8 }\n"


def base_config() -> str:
    """The embedded default where it can run (root), else the process backend."""
    return "" if ISOLATED else PROCESS


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server for tests that leave it as it was."""
    with _folder() as folder:
        server = Server(folder, config=base_config()).start()
        yield server
        _end_all(server)


@pytest.fixture
def own() -> Iterator[Server]:
    """A server that is not started yet, and may be killed."""
    with _folder() as folder:
        server = Server(folder, config=base_config())
        yield server
        if server.process is not None:
            _end_all(server)


@pytest.fixture(scope="module")
def slow() -> Iterator[Server]:
    """A running server with a small pool and the task "slow", whose tests go on when `wake` says so: to meet a trajectory while it is graded."""
    with _folder() as folder:
        server = Server(folder, config=base_config() + SMALL_POOL)
        server.tasks.append(task_file(folder, "slow", delay_s=NAP, grader={"timeoutMs": 600_000}))
        yield server.start()
        _end_all(server)


FAKE_TASKS = [FakeTask("py-interval-merge"), FakeTask("js-glob-match"), FakeTask("slow", grade_s=4)]


@pytest.fixture(scope="session", params=["server", "fake"])
def anyone(request: pytest.FixtureRequest) -> Iterator[Server | FakeServer]:
    """The shared server, and the fake that adapter authors test with: both keep to the same behaviour."""
    if request.param == "server":
        yield request.getfixturevalue("shared")
    else:
        with FakeServer(FAKE_TASKS) as fake:
            yield fake


@pytest.fixture(scope="module", params=["server", "fake"])
def anyone_slow(request: pytest.FixtureRequest) -> Iterator[Server | FakeServer]:
    """The same with a small pool and the task "slow"."""
    if request.param == "server":
        yield request.getfixturevalue("slow")
    else:
        with FakeServer(FAKE_TASKS, pools={"default": (1000, 4096), "two": (2, 2)}) as fake:
            yield fake


@pytest.fixture
def isolated() -> None:
    """For hostile commands: they run in real sandboxes only."""
    if not ISOLATED:
        leave_out("oci", NEEDS_ROOT)


class _folder:
    """A temporary folder on the disk, not in memory: overlays need it."""

    def __enter__(self) -> Path:
        self.path = Path(tempfile.mkdtemp(prefix="sandlot-e2e-", dir=os.environ.get("TMPDIR", "/var/tmp")))
        return self.path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def _end_all(server: Server) -> None:
    """Releases what lives, stops when that has gone, and checks that nothing is left."""
    import asyncio

    import sandlot

    async def release() -> list[str]:
        async with sandlot.connect(server.address, server.token, tls=server.tls, patience=300) as client:
            every = [one async for one in client.list_trajectories()]
            await client.release([one.id for one in every if one.state != "ENDED"])
            return [one.id for one in every]

    if server.ended:
        server.start()
    server.wait_until_gone(asyncio.run(release()))
    assert server.stop() == 0
    left = {what: found for what, found in server.leftovers().items() if found}
    assert not left, f"left behind: {left}"
