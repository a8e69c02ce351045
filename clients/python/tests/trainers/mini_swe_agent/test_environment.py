"""mini-swe-agent's own agent and scripted model over a live server."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sandlot
from bundled import Answers, applied
from minisweagent.agents.default import DefaultAgent
from minisweagent.environments import get_environment
from minisweagent.exceptions import InterruptAgentFlow, LimitsExceeded
from minisweagent.models.test_models import DeterministicToolcallModel, make_toolcall_output
from pydantic import ValidationError
from serving import living, serving
from server import Server

from sandlot.adapters.mini_swe_agent import MARKER, SandlotEnvironment

TASK = "py-interval-merge"
SUBMIT = f"echo {MARKER} && git add -A && git diff --cached"


@pytest.fixture
def structural() -> Iterator[Server]:
    """A running server that judges without tests, and so never gives a reward."""
    with serving("grading: { kind: structural }\n") as server:
        yield server.start()


def said(*commands: str) -> list[dict[str, Any]]:
    """One message of the model for each command."""
    calls = [
        [{"id": str(at), "type": "function", "function": {"name": "bash", "arguments": json.dumps({"command": command})}}]
        for at, command in enumerate(commands)
    ]
    return [
        make_toolcall_output(None, call, [{"command": command, "tool_call_id": str(at)}])
        for at, (call, command) in enumerate(zip(calls, commands, strict=True))
    ]


def agent(environment: SandlotEnvironment, *commands: str, **config: Any) -> DefaultAgent:
    model = DeterministicToolcallModel(outputs=said(*commands))
    templates = {"system_template": "You fix {{cwd}} on {{system}}.", "instance_template": "{{task}}"}
    return DefaultAgent(model, environment, **templates, **{"cost_limit": 0, **config})


def environment(server: Server, **config: Any) -> SandlotEnvironment:
    """As mini-swe-agent makes it from a YAML file."""
    made = get_environment(
        {
            "environment_class": "sandlot.adapters.mini_swe_agent.SandlotEnvironment",
            "server": server.address,
            "task_id": TASK,
            **config,
        }
    )
    assert isinstance(made, SandlotEnvironment)
    return made


def test_an_agent_that_solves_the_task_and_submits_by_the_marker_gets_1(shared: Server, tmp_path: Path) -> None:
    env = environment(shared, labels={"run": "7"})
    saved = tmp_path / "trajectory.json"
    played = agent(env, "git log --oneline | head -3", applied(Answers.of(TASK).gold), SUBMIT, output_path=saved)
    ending = played.run(env.problem)
    assert ending["exit_status"] == "Submitted" and "diff --git" in ending["submission"]
    assert env.reward == 1 and env.grade is not None and env.grade.submitted
    info = json.loads(saved.read_text())["info"]
    assert info["sandlot"] == {"trajectory_id": env.trajectory_id, "reward": 1, "validity": "VALID", "outcome": "RESOLVED", "reason": "every expected test passed"}
    assert info["config"]["environment"]["task_id"] == TASK
    assert info["config"]["environment_type"] == "sandlot.adapters.mini_swe_agent.SandlotEnvironment"
    assert not living(shared), "the submission released it"


def test_a_wrong_change_and_none_at_all_get_a_valid_0(shared: Server) -> None:
    for commands in ((applied(next(iter(Answers.of(TASK).wrong.values()))), SUBMIT), (SUBMIT,)):
        env = environment(shared)
        agent(env, *commands).run(env.problem)
        assert (env.reward, env.grade.validity if env.grade else None) == (0, "VALID")


def test_every_command_starts_afresh_with_the_folder_and_the_variables_of_the_yaml(shared: Server) -> None:
    with environment(shared, env={"PAGER": "cat", "ODD": "it's $HOME\n"}, cwd="/tmp") as env:
        assert env.execute({"command": 'pwd; printf %s "$ODD$PAGER"; cd /; export KEPT=1'})["output"] == "/tmp\nit's $HOME\ncat"
        assert env.execute({"command": 'pwd; echo "kept:$KEPT"'})["output"] == "/tmp\nkept:\n"
        assert env.execute({"command": "pwd"}, cwd="/usr")["output"] == "/usr\n"
        assert env.get_template_vars()["cwd"] == "/tmp"


def test_exit_codes_signals_and_time_outs_are_told_as_by_the_environments_of_the_package(shared: Server) -> None:
    with environment(shared) as env:
        assert env.execute({"command": "echo oops >&2; exit 3"}) == {"output": "oops\n", "returncode": 3, "exception_info": ""}
        assert env.execute({"command": "kill -9 $$"})["returncode"] == -9
        sooner = env.execute({"command": "sleep 1000"}, timeout=0.3)
        assert "timed out after 0.3 s" in sooner["exception_info"]
        assert env.execute({"command": "seq 1 20000"})["output"].count("\n") == 20000, "the template cuts, not the server"
    with environment(shared, timeout=3) as env:
        late = env.execute({"command": "echo begun; sleep 1000"})
        assert late["returncode"] == -1 and late["output"].startswith("begun\n")
        assert late["exception_info"] == "An error occurred while executing the command: timed out after 3 s"


def test_the_marker_of_a_command_that_failed_or_in_another_line_submits_nothing(shared: Server) -> None:
    with environment(shared) as env:
        assert env.execute({"command": f"echo {MARKER}; false"})["returncode"] == 1
        assert env.execute({"command": f"echo first; echo {MARKER}"})["returncode"] == 0
        assert env.grade is None and env.reward is None


def test_a_used_up_budget_ends_the_run_and_the_caller_decides_whether_the_work_counts(shared: Server) -> None:
    with environment(shared, limits={"max_steps": 2}) as env:
        played = agent(env, applied(Answers.of(TASK).gold), "true", "ls", "ls")
        assert played.run(env.problem)["exit_status"] == "LimitsExceeded"
        assert env.reward is None
        assert env.submit().reward == 1 and env.reward == 1
    with environment(shared, limits={"max_steps": 1}) as env, pytest.raises(LimitsExceeded):
        for _ in range(3):
            env.execute({"command": "true"})


def test_an_agent_that_destroys_its_sandbox_ends_with_a_0_of_its_own_making_or_goes_on(shared: Server) -> None:
    with environment(shared, timeout=10) as env:
        try:
            env.execute({"command": "rm -rf --no-preserve-root / 2>/dev/null"})
            env.execute({"command": "ls"})
        except InterruptAgentFlow as ending:
            assert ending.messages[0]["extra"]["exit_status"] == "SandboxBroken"
        assert env.submit().reward == 0


def test_a_restarted_server_is_a_pause(own: Server) -> None:
    own.start()
    env = environment(own)
    env.execute({"command": applied(Answers.of(TASK).gold)})
    own.kill()
    own.start()
    agent(env, "git diff --stat", SUBMIT).run(env.problem)
    assert env.reward == 1


def test_what_infrastructure_spoils_raises_and_has_no_reward(shared: Server, tmp_path: Path) -> None:
    async def released(trajectory_id: str) -> None:
        async with sandlot.connect(shared.address) as client:
            await client.release([trajectory_id])

    env = environment(shared)
    saved = tmp_path / "trajectory.json"
    asyncio.run(released(env.trajectory_id))  # as when a lease is over
    with pytest.raises(sandlot.EndedError):
        agent(env, "ls", SUBMIT, output_path=saved).run(env.problem)
    info = json.loads(saved.read_text())["info"]
    assert env.reward is None and info["sandlot"]["reward"] is None and info["exit_status"] == "EndedError"
    env.close()


def test_a_submission_without_a_valid_verdict_has_no_reward(structural: Server) -> None:
    env = environment(structural)
    assert agent(env, SUBMIT).run(env.problem)["exit_status"] == "Submitted"
    assert env.grade is not None and env.grade.validity == "STRUCTURAL"
    assert env.reward is None and env.serialize()["info"]["sandlot"]["reward"] is None


def test_an_environment_that_nobody_holds_any_more_is_released(shared: Server) -> None:
    env = environment(shared)
    assert [one.id for one in living(shared)] == [env.trajectory_id]
    del env
    gc.collect()
    assert not living(shared)


def test_an_unknown_key_is_named_and_a_token_is_never_saved(own: Server) -> None:
    own.token = "right-token"
    own.start(environment={"SANDLOT_TOKEN_TRAINER": "right-token"})
    with pytest.raises(ValidationError, match="time_out"):
        environment(own, time_out=3)
    with pytest.raises(sandlot.UnauthenticatedError):
        environment(own)
    with environment(own, token="right-token") as env:
        assert "right-token" not in json.dumps([env.serialize(), env.get_template_vars()]) + repr(env.config)
