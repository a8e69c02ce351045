"""inspect_ai's own eval, bash tool and mock model over a live server."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bundled import Answers, applied
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.solver import basic_agent
from inspect_ai.tool import bash
from inspect_ai.util import SandboxUserUnsupportedError
from pydantic import ValidationError
from server import Server
from serving import HARNESS, living, serving

from sandlot.adapters.inspect_ai import SandlotConfig, SandlotSandboxEnvironment, verdict

TASK = "py-interval-merge"


def said(*commands: str) -> list[ModelOutput]:
    """Bash calls, and then basic_agent's own submission."""
    outputs = [ModelOutput.for_tool_call("mockllm", "bash", {"command": command}) for command in commands]
    outputs.append(ModelOutput.for_tool_call("mockllm", "submit", {"answer": "done"}))
    for output in outputs:
        output.usage = ModelUsage()  # else it counts tokens, with a file from the network
    return outputs


def played(server: Server, folder: Path, *commands: str) -> EvalLog:
    sample = Sample(input="Fix it.", metadata={"task_id": TASK}, sandbox=("sandlot", SandlotConfig(server=server.address)))
    task = Task(dataset=[sample], solver=basic_agent(tools=[bash(timeout=60)]), scorer=verdict())
    model = get_model("mockllm/model", custom_outputs=said(*commands))
    return eval(task, model=model, log_dir=str(folder), display="none", log_format="json")[0]


def test_an_agent_that_solves_the_task_gets_1_and_one_that_does_not_a_0(shared: Server, tmp_path: Path) -> None:
    for commands, expected in (((applied(Answers.of(TASK).gold),), 1), (("git status",), 0)):
        log = played(shared, tmp_path, *commands)
        assert log.status == "success", log.error
        assert log.samples and log.samples[0].scores and log.results
        score = log.samples[0].scores["verdict"]
        assert (score.value, score.metadata and score.metadata["validity"]) == (expected, "VALID")
        assert log.results.scores[0].metrics["accuracy"].value == expected
        assert not living(shared), "the sandbox was released"


@pytest.fixture
def structural() -> Iterator[Server]:
    """A running server that judges without tests, and so never gives a reward."""
    with serving(HARNESS + "grading: { kind: structural }\n") as server:
        yield server.start()


def test_a_sample_without_a_valid_verdict_is_in_no_metric(structural: Server, tmp_path: Path) -> None:
    log = played(structural, tmp_path, "ls")
    assert log.status == "success" and log.samples and log.samples[0].scores and log.results
    assert math.isnan(log.samples[0].scores["verdict"].value)
    assert (log.results.scores[0].scored_samples, log.results.scores[0].unscored_samples) == (0, 1)


def test_programs_and_files_are_as_inspect_says(shared: Server) -> None:
    async def work() -> None:
        config = SandlotConfig(server=shared.address, task_id=TASK, graded=False)
        made = await SandlotSandboxEnvironment.sample_init("t", config, {})
        box = made["default"].as_type(SandlotSandboxEnvironment)
        both = await box.exec(["sh", "-c", 'cat; echo "$A" >&2; pwd; exit 3'], input="in\n", cwd="/usr", env={"A": "b"})
        assert (both.success, both.returncode, both.stdout, both.stderr) == (False, 3, "in\n/usr\n", "b\n")
        assert (await box.exec(["no-such-program"])).returncode == 127
        with pytest.raises(TimeoutError):
            await box.exec(["sleep", "1000"], timeout=1)
        with pytest.raises(SandboxUserUnsupportedError):
            await box.exec(["true"], user="nobody")
        await box.write_file("deep/new.txt", "ä\r\n")
        assert await box.read_file("deep/new.txt") == "ä\r\n", "line ends stay"
        assert await box.read_file("deep/new.txt", text=False) == "ä\r\n".encode()
        with pytest.raises(FileNotFoundError):
            await box.read_file("/no/such")
        with pytest.raises(IsADirectoryError):
            await box.read_file("/usr")
        await SandlotSandboxEnvironment.sample_cleanup("t", config, made, False)

    asyncio.run(work())
    assert not living(shared)


def test_a_restarted_server_is_a_pause(own: Server) -> None:
    async def work() -> Any:
        config = SandlotConfig(server=own.address, task_id=TASK)
        made = await SandlotSandboxEnvironment.sample_init("t", config, {})
        box = made["default"].as_type(SandlotSandboxEnvironment)
        await box.write_file("/tmp/gold.patch", Answers.of(TASK).gold)
        await asyncio.to_thread(own.kill)
        await asyncio.to_thread(own.start)
        assert (await box.exec(["git", "apply", "/tmp/gold.patch"])).success
        grade = await box.held.submit()
        await SandlotSandboxEnvironment.sample_cleanup("t", config, made, False)
        return grade

    own.start()
    assert asyncio.run(work()).reward == 1


def test_a_sample_without_a_task_and_a_key_that_is_not_known_are_named() -> None:
    with pytest.raises(ValueError, match="`task_id` in the sample's metadata, got neither"):
        asyncio.run(SandlotSandboxEnvironment.sample_init("t", None, {}))
    with pytest.raises(ValidationError, match="tsk"):
        SandlotConfig(tsk=TASK)
