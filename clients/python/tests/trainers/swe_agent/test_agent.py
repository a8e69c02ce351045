"""SWE-agent's own environment, agent, tools and test model on our deployment, over a live server."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(os.environ["SANDLOT_SWE_AGENT"])
sys.path.insert(0, str(CHECKOUT))
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or its import asks the network
os.environ["SWE_AGENT_TRAJECTORY_DIR"] = str(CHECKOUT)  # its import wants a folder; nothing is written there

import sandlot
from bundled import Answers, applied
from server import Server
from serving import living
from sweagent.agent.agents import DefaultAgent, TemplateConfig
from sweagent.agent.history_processors import DefaultHistoryProcessor
from sweagent.agent.models import PredeterminedTestModel
from sweagent.agent.problem_statement import TextProblemStatement
from sweagent.environment.repo import PreExistingRepoConfig
from sweagent.environment.swe_env import SWEEnv
from sweagent.tools.bundle import Bundle
from sweagent.tools.parsing import ThoughtActionParser
from sweagent.tools.tools import ToolConfig, ToolHandler

from sandlot.adapters.swe_rex import SandlotDeployment

TASK = "py-interval-merge"
GOLD = applied(Answers.of(TASK).gold)


class Model(PredeterminedTestModel):
    """Its own test model; `before` happens ahead of each message, and is told its number from 1."""

    def __init__(self, commands: tuple[str, ...], before: Callable[[int], None]) -> None:
        super().__init__([f"I do this.\n```\n{command}\n```" for command in commands])
        self._before = before

    def query(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self._before(self._idx + 2)
        return super().query(*args, **kwargs)


class Played:
    """A run of SWE-agent, up to the end of its loop."""

    def __init__(self, server: Server, folder: Path, *commands: str, before: Callable[[int], None] = lambda number: None) -> None:
        self.deployment = SandlotDeployment(task_id=TASK, server=server.address)
        self.env = SWEEnv(deployment=self.deployment, repo=PreExistingRepoConfig(repo_name="testbed"), post_startup_commands=[])
        self.env.start()
        bundles = [Bundle(path=CHECKOUT / "tools" / name) for name in ("registry", "submit")]
        tools = ToolHandler(ToolConfig(bundles=bundles, parse_function=ThoughtActionParser()))
        agent = DefaultAgent(templates=TemplateConfig(), tools=tools, history_processors=[DefaultHistoryProcessor()], model=Model(commands, before))
        problem = TextProblemStatement(text=self.deployment.problem, id="one")
        self.info = agent.run(env=self.env, problem_statement=problem, output_dir=folder).info

    def grade(self) -> sandlot.Grade:
        try:
            return asyncio.run(self.deployment.submit())
        finally:
            self.env.close()


def test_it_solves_a_task_submits_and_the_verdict_is_1(shared: Server, tmp_path: Path) -> None:
    played = Played(shared, tmp_path, "cd src; export SEEN=1", f"cd /testbed; {GOLD}", 'echo "$SEEN"', "submit")
    assert played.info["exit_status"] == "submitted" and "diff --git" in played.info["submission"]
    assert (played.grade().reward, len(living(shared))) == (1, 0)


def test_nothing_changed_is_a_valid_0(shared: Server, tmp_path: Path) -> None:
    grade = Played(shared, tmp_path, "ls", "submit").grade()
    assert (grade.reward, grade.validity) == (0, "VALID")


def test_a_restarted_server_is_a_pause(own: Server, tmp_path: Path) -> None:
    def restart(number: int) -> None:
        if number == 2:
            own.kill()
            own.start()

    own.start()
    played = Played(own, tmp_path, GOLD, "git diff --stat", "submit", before=restart)
    assert played.grade().reward == 1


def test_what_infrastructure_spoils_has_no_reward_although_the_agent_swallows_the_error(shared: Server, tmp_path: Path) -> None:
    async def release() -> None:
        async with sandlot.connect(shared.address) as client:
            await client.release([one.id async for one in client.list_trajectories("state=ACTIVE")])  # as when a lease is over

    def spoil(number: int) -> None:
        if number == 2:
            asyncio.run(release())

    played = Played(shared, tmp_path, GOLD, "ls", "submit", before=spoil)
    assert played.info["exit_status"] != "submitted"
    with pytest.raises(sandlot.EndedError):
        played.grade()
