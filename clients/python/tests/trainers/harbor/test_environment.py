"""Whole trials of Harbor, with its oracle agent, over a live server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sandlot
from bundled import Answers, applied
from harbor.models.task.config import EnvironmentConfig as TaskEnvironment
from harbor.models.task.config import NetworkMode, NetworkPolicy
from harbor.models.trial.config import AgentConfig, EnvironmentConfig, TaskConfig, TrialConfig, VerifierConfig
from harbor.models.trial.paths import TrialPaths
from harbor.models.trial.result import TrialResult
from harbor.trial.trial import Trial
from pydantic import ValidationError
from server import Server
from serving import listed, living, serving

from sandlot.adapters.harbor import SandlotEnvironment

TASK = "py-interval-merge"
GOLD = applied(Answers.of(TASK).gold)
ENVIRONMENT = "sandlot.adapters.harbor:SandlotEnvironment"
VERDICT = VerifierConfig(import_path="sandlot.adapters.harbor:SandlotVerifier")


def task(folder: Path, solution: str, *, test: str = "exit 1", network: str = "no-network") -> Path:
    """A task folder of Harbor, by the name of a task of the server."""
    place = folder / TASK
    for name in ("environment", "solution", "tests"):
        (place / name).mkdir(parents=True)
    (place / "task.toml").write_text(f'version = "1.0"\n[environment]\nnetwork_mode = "{network}"\n')
    (place / "instruction.md").write_text("Merge the intervals.\n")
    (place / "solution/solve.sh").write_text(f"#!/bin/bash\n{solution}\n")
    (place / "tests/test.sh").write_text(f"#!/bin/bash\n{test}\n")
    return place


async def trial(server: Server, place: Path, verifier: VerifierConfig = VERDICT, **settings: Any) -> TrialResult:
    config = TrialConfig(
        task=TaskConfig(path=place),
        trials_dir=place.parent / "trials",
        agent=AgentConfig(name="oracle"),
        environment=EnvironmentConfig(import_path=ENVIRONMENT, kwargs={"server": server.address, **settings}),
        verifier=verifier,
    )
    result = await (await Trial.create(config)).run()
    assert not await asyncio.to_thread(living, server), "every trajectory was released"
    return result


def rewards(result: TrialResult) -> Any:
    return result.verifier_result and result.verifier_result.rewards


async def test_the_reference_solution_gets_1_by_the_verdict(shared: Server, tmp_path: Path) -> None:
    result = await trial(shared, task(tmp_path, f"cd /testbed && {GOLD}\necho done"))
    assert result.exception_info is None and rewards(result) == {"reward": 1}
    (saved,) = (tmp_path / "trials").glob("*/agent/oracle.txt")
    assert "done" in saved.read_text()
    played = (await asyncio.to_thread(listed, shared))[0]
    assert played.task_id == TASK and played.labels["harbor"].startswith(TASK)


async def test_a_solution_that_changes_nothing_gets_a_0(shared: Server, tmp_path: Path) -> None:
    assert rewards(await trial(shared, task(tmp_path, "true"))) == {"reward": 0}


async def test_harbors_own_tests_run_in_a_bare_sandbox_too(shared: Server, tmp_path: Path) -> None:
    place = task(tmp_path, "echo 4 > /tmp/answer", test='[ "$(cat /tmp/answer)" = 4 ]; echo "$((1 - $?)).0" > /logs/verifier/reward.txt')
    result = await trial(shared, place, VerifierConfig(), graded=False)
    assert result.exception_info is None and rewards(result) == {"reward": 1.0}


async def begun(client: sandlot.Client) -> sandlot.Sandbox:
    """The sandbox of the one trajectory, once its solution has made /tmp/begun."""
    while not (alive := [one.id async for one in client.list_trajectories("state=ACTIVE")]):
        await asyncio.sleep(0.05)
    sandbox = client.sandbox_of(alive[0])
    await sandbox.exec("until [ -e /tmp/begun ]; do sleep 0.05; done", timeout_ms=60_000)
    return sandbox


async def test_what_infrastructure_spoils_is_an_error_and_no_reward(shared: Server, tmp_path: Path) -> None:
    playing = asyncio.create_task(trial(shared, task(tmp_path, "touch /tmp/begun; sleep 1000")))
    async with sandlot.connect(shared.address) as client:
        await client.release([(await begun(client)).id])  # as when a lease is over
    result = await playing
    assert rewards(result) is None and result.exception_info is not None
    assert result.exception_info.exception_type == "EndedError"


@pytest.fixture
def structural() -> Iterator[Server]:
    """A running server that judges without tests, and so never gives a reward."""
    with serving("sandbox_service: { enabled: true }\ngrading: { kind: structural }\n") as server:
        yield server.start()


async def test_a_verdict_that_is_not_valid_is_no_reward(structural: Server, tmp_path: Path) -> None:
    result = await trial(structural, task(tmp_path, "true"))
    assert rewards(result) is None
    assert result.exception_info is not None and "STRUCTURAL" in result.exception_info.exception_message


async def test_a_network_and_a_key_that_there_is_not_are_refused(shared: Server, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="network_mode = 'no-network'"):
        await trial(shared, task(tmp_path, "true", network="public"))
    with pytest.raises(ValidationError, match="tsk"):
        await trial(shared, tmp_path / TASK, tsk=1)


@pytest.fixture
async def environment(shared: Server, tmp_path: Path) -> AsyncIterator[SandlotEnvironment]:
    one = SandlotEnvironment(
        environment_dir=tmp_path,
        environment_name=f"org/{TASK}",
        session_id=f"{TASK}__{uuid4().hex[:7]}__env",
        trial_paths=TrialPaths(trial_dir=tmp_path / "trial"),
        task_env_config=TaskEnvironment(),
        network_policy=NetworkPolicy(network_mode=NetworkMode.NO_NETWORK),
        persistent_env={"KEPT": "yes"},
        server=shared.address,
    )
    await one.start(force_build=False)
    yield one
    await one.stop(delete=True)
    await one.stop(delete=True)


async def test_commands_and_files_are_as_harbors_environments_have_them(environment: SandlotEnvironment, tmp_path: Path) -> None:
    ran = await environment.exec('pwd; echo "$KEPT$A"; echo err >&2; exit 3', cwd="/tmp", env={"A": "1"}, user="root")
    assert (ran.return_code, ran.stdout, ran.stderr) == (3, "/tmp\nyes1\n", "err\n")
    assert (await environment.exec("pwd")).stdout == "/testbed\n"
    with pytest.raises(RuntimeError, match="timed out after 1 seconds"):
        await environment.exec("sleep 1000", timeout_sec=1)
    with pytest.raises(ValueError, match="expected root"):
        await environment.exec("true", user="nobody")
    (tmp_path / "up/deep").mkdir(parents=True)
    (tmp_path / "up/deep/run").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "up/deep/run").chmod(0o755)
    await environment.upload_dir(tmp_path / "up", "/opt/up")
    await environment.upload_file(tmp_path / "up/deep/run", "/opt/one/run")
    assert (await environment.exec("/opt/up/deep/run; /opt/one/run")).stdout == "ran\nran\n"
    await environment.exec("mkfifo /opt/up/pipe; ln -s /etc/passwd /opt/up/link; printf '\\377' > /opt/up/odd; rm /opt/up/link")
    await environment.download_dir("/opt/up", tmp_path / "down")
    assert (tmp_path / "down/odd").read_bytes() == b"\xff" and not (tmp_path / "down/pipe").exists()
    await environment.download_file("/opt/up/odd", tmp_path / "new/odd")
    assert (tmp_path / "new/odd").read_bytes() == b"\xff"
    with pytest.raises(OSError, match="no-such"):
        await environment.download_dir("/no-such", tmp_path / "none")


async def test_a_restarted_server_is_a_pause(own: Server, tmp_path: Path) -> None:
    own.start()
    playing = asyncio.create_task(trial(own, task(tmp_path, f"cd /testbed && {GOLD}; touch /tmp/begun; until [ -e /tmp/go ]; do sleep 0.05; done")))
    async with sandlot.connect(own.address) as client:
        sandbox = await begun(client)
        await asyncio.to_thread(own.kill)
        await asyncio.to_thread(own.start)
        await sandbox.exec(["touch", "/tmp/go"])
    assert rewards(await playing) == {"reward": 1}
