"""verl as a user has it: its own configuration, data set and worker, over a live server. Only the model is scripted."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[5]
EXAMPLE = ROOT / "examples/verl"
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "test/e2e"), str(EXAMPLE)]

from bundled import Answers, applied
from playing import Verl
from scripted import SUBMIT, bash, call
from server import Server

CONFIG = "" if os.geteuid() == 0 else "backend: { type: process, commands_run_unprotected_on_this_host: true }\n"
TASK = "py-interval-merge"
OTHER = "py-config-layers"

POLICIES: dict[str, list[str]] = {
    **{f"gold-{task}": ["I look first. " + bash("ls"), bash(applied(Answers.of(task).gold)), SUBMIT] for task in (TASK, OTHER)},
    "wrong": [bash("echo '# nothing' >> README.md"), SUBMIT],
    "empty": [SUBMIT],
    "silent": ["I have no idea."],
    "endless": [bash("echo again")],
    "odd-arguments": [call("bash", "ls"), call("bash", ["ls"]), call("bash", None), call("bash", {"cmd": "ls"}), call("no_such_tool", {}), SUBMIT],
    "unparsable": ["<tool_call>{ls -la}</tool_call>"],
    "last-turn": [bash(applied(Answers.of(TASK).gold)), bash("ls"), bash("ls"), bash("ls"), bash("ls"), SUBMIT],
    "never-submits": [bash(applied(Answers.of(TASK).gold)), bash("true")],
    "after-the-end": ["One: " + SUBMIT + " and another: " + bash("echo late"), bash("echo later")],
}


@pytest.fixture(scope="session", autouse=True)
def quiet(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Ray and the hub write into the home folder, and the hub asks the network."""
    os.environ.update(HOME=str(tmp_path_factory.mktemp("home")), HF_HUB_OFFLINE="1", SANDLOT_VERL=str(EXAMPLE), RAY_USAGE_STATS_ENABLED="0")
    os.environ.pop("SANDLOT_TOKEN", None)


@pytest.fixture(scope="session")
def shared() -> Iterator[Server]:
    """A running server for tests that leave it as it was."""
    folder = Path(tempfile.mkdtemp(prefix="sandlot-verl-", dir="/var/tmp"))
    server = Server(folder, config=CONFIG).start()
    yield server
    ended(server)


@pytest.fixture
def own() -> Iterator[Server]:
    """A server that is not started yet, and may be killed."""
    server = Server(Path(tempfile.mkdtemp(prefix="sandlot-verl-", dir="/var/tmp")), config=CONFIG)
    yield server
    if server.process is not None:
        ended(server)


@pytest.fixture
def verl(tmp_path: Path, shared: Server, monkeypatch: pytest.MonkeyPatch) -> Verl:
    """verl on the shared server, by the files of the example."""
    monkeypatch.setenv("SANDLOT_SERVER", shared.address)
    return Verl(tmp_path, POLICIES)


def living(server: Server) -> list[Any]:
    """The trajectories that are not over."""
    import sandlot

    async def listed() -> list[Any]:
        async with sandlot.connect(server.address, server.token) as client:
            return [one async for one in client.list_trajectories() if one.state != "ENDED"]

    return asyncio.run(listed())


def ended(server: Server) -> None:
    """Stops it, and checks that the tests released all and left nothing."""
    if server.ended:
        server.start()
    left = living(server)
    assert server.stop() == 0
    found = {what: items for what, items in server.leftovers().items() if items}
    shutil.rmtree(server.folder, ignore_errors=True)
    assert not left, f"not released: {left}"
    assert not found, f"left behind: {found}"
