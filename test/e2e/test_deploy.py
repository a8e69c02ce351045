"""The server in a container, with the options of deploy/docker-run and without them."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import sandlot
from engine import IMAGE, SHOWN, Engine, engine_or_leave_out
from server import ROOT, Server, free_port

TASK = "py-interval-merge"
NODE = subprocess.run([ROOT / "scripts/node", "-p", "process.execPath"], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with engine_or_leave_out() as engine:
        engine.make_image()
        yield engine


def shown(port: int) -> list[str]:
    """Options that every container here has, so that the image shows this host's programs."""
    binds = [option for path in SHOWN for option in ("--volume", f"{path}:{path}:ro")]
    where = ["--env", "SANDLOT_STATE=/var/lib/sandlot", "--env", f"SANDLOT_LISTEN=127.0.0.1:{port}"]
    return ["--network", "host", "--workdir", str(ROOT), *binds, *where, "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"]


def docker_run(engine: Engine, state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DOCKER": f"docker -H {engine.host}", "VOLUME": str(state)}
    return subprocess.run([ROOT / "deploy/docker-run", *arguments], env=environment, capture_output=True, text=True, check=False, timeout=600)


def test_a_trajectory_outlives_the_container_that_its_server_was_in(engine: Engine) -> None:
    server = Server(engine.folder, port=free_port())  # for its address and its look at what is left
    serve = ["--detach", *shown(server.port), IMAGE, NODE, "src/cli/main.ts", "serve"]

    async def play() -> None:
        first = docker_run(engine, server.state, *serve)
        assert first.returncode == 0, first.stderr
        async with sandlot.connect(server.address, patience=300) as client, client.trajectory(TASK, limits={"memory_mib": 128}) as t:
            assert (await t.bash("echo kept > /tmp/x; sleep 1000 & echo $!")).exit_code == 0
            assert t.limits.enforced["memory_mib"] == "HARD"
            assert engine.run("rm", "--force", first.stdout.strip()).returncode == 0
            second = docker_run(engine, server.state, *serve)
            assert second.returncode == 0, second.stderr
            assert (await t.bash("cat /tmp/x; pgrep -c sleep")).text == "kept\n1\n"
            assert (await t.submit()).outcome == "EMPTY_PATCH"
        assert engine.run("stop", "--time", "120", second.stdout.strip()).returncode == 0

    asyncio.run(play())
    left = {what: found for what, found in server.leftovers().items() if found}
    assert not left, f"left behind: {left}"


def test_a_container_without_the_options_is_told_each_of_them(engine: Engine) -> None:
    plain = engine.run("run", "--rm", *shown(free_port()), "--tmpfs", "/var/lib/sandlot", IMAGE, NODE, "src/cli/main.ts", "doctor")
    assert plain.returncode == 1
    told = next(line for line in plain.stdout.splitlines() if line.startswith("fail  backend"))
    given = shlex.split((ROOT / "deploy/docker-run").read_text(), comments=True)
    for option in ("--cap-add SYS_ADMIN", "--cap-add NET_ADMIN", "seccomp=unconfined", "/sys/fs/cgroup:/sys/fs/cgroup:rw"):
        assert option in told
        assert option.split()[-1] in given
