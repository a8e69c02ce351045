"""Which Node the command `sandlot` takes, and what it says when there is none."""

from pathlib import Path

import pytest

import sandlot.__main__ as command


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A PATH of one empty folder, and no Node among the packages."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    return tmp_path


def node(folder: Path, says: str) -> Path:
    program = folder / "node"
    program.write_text(f"#!/bin/sh\necho {says}\n")
    program.chmod(0o755)
    return program


def test_a_node_of_the_path_will_do_when_it_is_new_enough(bare: Path):
    for version in ("v22.18.0", "v24.0.1"):
        program = node(bare, version)
        assert command.find_node() == str(program)


@pytest.mark.parametrize("version", ["v22.17.9", "v20.20.2", "v9.99.99", "nonsense", ""])
def test_an_old_node_is_refused_with_its_version(bare: Path, version: str):
    node(bare, version)
    with pytest.raises(LookupError, match=f"is {version or 'not a Node'}, and Node 22.18 or newer is needed"):
        command.find_node()


def test_none_at_all_is_said_with_what_brings_one(bare: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "PROGRAM", Path(__file__))
    with pytest.raises(SystemExit, match=r"there is no Node; pip install 'sandlot\[server\]' brings one"):
        command.main()


def test_a_package_without_the_server_says_so(monkeypatch: pytest.MonkeyPatch, bare: Path):
    monkeypatch.setattr(command, "PROGRAM", bare / "nothing")
    with pytest.raises(SystemExit, match="has the client only"):
        command.main()
