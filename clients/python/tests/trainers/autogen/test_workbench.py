"""AutoGen's own agent and team over a live server; what the model says is known beforehand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import sandlot
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.messages import ToolCallExecutionEvent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import FunctionCall
from autogen_core.models import CreateResult, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient
from bundled import task_file
from server import Server
from serving import living, serving

from sandlot.adapters.attempt import Lost
from sandlot.adapters.autogen import SandlotWorkbench, usage

TASK = "own-task"
FIX = "--- a/sums.py\n+++ b/sums.py\n@@ -1,2 +1,2 @@\n def double(x):\n-    return 2 * x + 1\n+    return 2 * x\n"
# A Python with pytest, of the repository's own.
SETUP = {"type": "commands", "commands": ["python3 -m venv /opt/venv && /opt/venv/bin/python -m pip install --quiet pytest==8.4.2"], "network": True}
ENVIRONMENT = {"setup": SETUP, "env": {"PATH": "/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}
VISIBLE = "from sums import double\n\ndef test_zero():\n    assert double(0) == 0\n\ndef test_long():\n    import time\n    time.sleep(1000)\n"
SEE = f"diff --git a/test_seen.py b/test_seen.py\nnew file mode 100644\n--- /dev/null\n+++ b/test_seen.py\n@@ -0,0 +1,{VISIBLE.count(chr(10))} @@\n" + "".join(f"+{line}\n" for line in VISIBLE.splitlines())


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server with a task whose Python has pytest."""
    with serving() as server:
        server.tasks.append(task_file(tmp_path_factory.mktemp("own"), environment=ENVIRONMENT))
        yield server.start()


@pytest.fixture
async def workbench(prepared: Server) -> AsyncIterator[SandlotWorkbench]:
    async with SandlotWorkbench(TASK, server=prepared.address) as workbench:
        yield workbench
    assert not await asyncio.to_thread(living, prepared), "every trajectory was released"


def calls(*named: tuple[str, dict[str, Any]]) -> CreateResult:
    """A message of the model with these calls."""
    content = [FunctionCall(id=f"{at}", name=name, arguments=json.dumps(arguments)) for at, (name, arguments) in enumerate(named)]
    return CreateResult(finish_reason="function_calls", content=content, usage=RequestUsage(10, 5), cached=False)


async def run(workbench: SandlotWorkbench, *said: CreateResult | str, turns: int = 12) -> TaskResult:
    model = ReplayChatCompletionClient(list(said), model_info={"vision": False, "function_calling": True, "json_output": False, "family": "unknown", "structured_output": False})
    agent = AssistantAgent("runner", model, workbench=workbench)
    return await RoundRobinGroupChat([agent], termination_condition=workbench.ending(), max_turns=turns).run(task=workbench.problem)


def heard(result: TaskResult) -> list[str]:
    """What the model read of its calls."""
    return [one.content for message in result.messages if isinstance(message, ToolCallExecutionEvent) for one in message.content]


async def test_an_agent_that_fixes_the_task_ends_with_the_tests_that_pass_and_its_tree_gets_1(workbench: SandlotWorkbench) -> None:
    result = await run(
        workbench,
        calls(("swe_clone", {})),
        calls(("swe_install", {}), ("swe_apply_patch", {"patch": SEE})),
        calls(("swe_pytest", {"pytest_k": "zero"})),
        calls(("swe_apply_patch", {"patch": FIX})),
        calls(("swe_pytest", {"pytest_k": "zero"})),
        calls(("swe_pytest", {"pytest_k": "never asked for"})),
    )
    read = heard(result)
    assert [text.strip().splitlines()[-1] for text in read] == ["[cloned]", "[installed]", "[patched]", "[failed]", "[patched]", "[passed]"]
    assert "double(2) gives 5." in workbench.problem and "1 passed, 1 deselected in" in read[-1]
    grade = await workbench.submit()
    assert (grade.reward, grade.outcome) == (1, "RESOLVED")
    assert usage(result.messages).prompt_tokens == 50


async def test_a_stage_that_is_out_of_time_is_ended_and_the_run_goes_on_to_max_turns(workbench: SandlotWorkbench) -> None:
    result = await run(
        workbench,
        calls(("swe_apply_patch", {"patch": SEE})),
        calls(("swe_pytest", {"pytest_k": "long"})),
        calls(("swe_pytest", {"no_such": 1})),
        calls(("no_such_tool", {})),
        "I give up.",
        turns=4,
    )
    read = heard(result)
    assert read[1].endswith("[tests_timeout: ended after 5 s, with all its processes]\n")
    assert "no parameter" in read[2] and "not found in any workbench" in read[3]
    assert result.stop_reason == "Maximum number of turns 4 reached."
    assert (await workbench.submit()).reward == 0


async def test_a_submission_ends_the_run(workbench: SandlotWorkbench) -> None:
    result = await run(workbench, calls(("swe_apply_patch", {"patch": FIX})), calls(("submit_solution", {})), calls(("swe_clone", {})))
    assert len(heard(result)) == 2
    assert (await workbench.submit()).reward == 1


async def test_what_infrastructure_spoils_ends_the_run_and_is_no_0(workbench: SandlotWorkbench, prepared: Server) -> None:
    async with sandlot.connect(prepared.address) as client:
        await client.release([workbench.trajectory_id])  # as when a lease is over
    result = await run(workbench, calls(("swe_pytest", {})), calls(("swe_pytest", {})))
    assert len(heard(result)) == 1
    with pytest.raises(Lost):
        await workbench.submit()


async def test_a_restarted_server_is_a_pause(own: Server, tmp_path: Path) -> None:
    own.tasks.append(task_file(tmp_path))
    own.start()
    async with SandlotWorkbench(TASK, server=own.address) as workbench:
        assert "[patched]" in (await workbench.call_tool("swe_apply_patch", {"patch": FIX})).to_text()
        await asyncio.to_thread(own.kill)
        await asyncio.to_thread(own.start)
        assert "pytest is not installed" in (await workbench.call_tool("swe_pytest")).to_text()
        assert (await workbench.submit()).reward == 1


async def test_no_server_no_such_task_and_a_setting_that_is_not_known_are_told_at_the_start(prepared: Server) -> None:
    with pytest.raises(Lost, match="no Sandlot server answers"):
        await SandlotWorkbench(TASK, server="127.0.0.1:1", patience_s=0.2).start()
    with pytest.raises(sandlot.NotFoundError, match="no-such-task"):
        await SandlotWorkbench("no-such-task", server=prepared.address).start()
    with pytest.raises(ValueError, match="time_out"):
        SandlotWorkbench(TASK, time_out=3)
    with pytest.raises(RuntimeError, match="not started"):
        await SandlotWorkbench(TASK).list_tools()
