"""verl as a user has it: its own configuration, data set and worker, over a live server. Only the model is scripted."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[5]
EXAMPLE = ROOT / "examples/verl"
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1]), str(ROOT / "test/e2e"), str(EXAMPLE)]

from bundled import Answers, applied
from playing import Verl
from scripted import SUBMIT, bash, call
from server import Server
from serving import living as living
from serving import serving

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
    with serving() as server:
        yield server.start()


@pytest.fixture
def own() -> Iterator[Server]:
    """A server that is not started yet, and may be killed."""
    with serving() as server:
        yield server


@pytest.fixture
def verl(tmp_path: Path, shared: Server, monkeypatch: pytest.MonkeyPatch) -> Verl:
    """verl on the shared server, by the files of the example."""
    monkeypatch.setenv("SANDLOT_SERVER", shared.address)
    monkeypatch.delenv("SANDLOT_TOKEN", raising=False)
    return Verl(tmp_path, POLICIES)
