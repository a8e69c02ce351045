"""TRL's own GRPOTrainer over a live server. The model is tiny, and but for one test what it says is known beforehand."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sandlot
from bundled import Answers, applied
from scripted import SUBMIT, Scripted, bash, call, trainer
from server import Server
from serving import listed, living
from trl import GRPOTrainer

from sandlot.adapters.trl import SandlotEnvironment, unless_lost

TASK = "py-interval-merge"
GOLD = [bash(applied(Answers.of(TASK).gold)), SUBMIT]
WRONG = [bash("echo '# nothing' >> README.md"), SUBMIT]
ROW = {"prompt": [{"role": "user", "content": "Fix it."}], "task_id": TASK, "repo": "sandlot-tasks/spans"}


def environments(server: Server, **settings: Any) -> partial[SandlotEnvironment]:
    return partial(SandlotEnvironment, server=server.address, **settings)


def expected(rewards: list[float | None]) -> list[float]:
    """Advantages of one group by GRPO's formula, over the samples that have a reward; 0 for the others."""
    known = [one for one in rewards if one is not None]
    mean = sum(known) / len(known)
    deviation = math.sqrt(sum((one - mean) ** 2 for one in known) / (len(known) - 1))
    return [0.0 if one is None else (one - mean) / (deviation + 1e-4) for one in rewards]


def test_the_reward_of_each_policy_reaches_the_trainer(shared: Server, tmp_path: Path) -> None:
    played = Scripted.of(GOLD, WRONG, [SUBMIT], [])
    grpo = trainer(played, tmp_path, environments(shared), [ROW])
    grpo.train()
    assert played.rewards == [[1, 0, 0, 0]]
    assert played.advantages[0] == pytest.approx(expected([1, 0, 0, 0]), abs=1e-3)
    assert not living(shared), "every trajectory was released"
    assert {one.labels["trainer"] for one in listed(shared)[:4]} == {"trl"}
    log = grpo.state.log_history[0]
    assert log["rewards/SandlotEnvironment/mean"] == 0.25 and log["tools/failure_frequency"] == 0


def test_slots_are_used_again_by_the_next_batch(shared: Server, tmp_path: Path) -> None:
    played = Scripted.of(GOLD, WRONG, [SUBMIT], [], WRONG, GOLD, GOLD, [])
    trainer(played, tmp_path, environments(shared), [ROW, ROW], max_steps=2).train()
    assert played.rewards == [[1, 0, 0, 0], [0, 1, 1, 0]]


def test_the_model_reads_what_its_commands_print_and_what_is_wrong_with_its_calls(shared: Server, tmp_path: Path) -> None:
    talk = [bash("echo 'one two' | tr a-z A-Z"), bash("true"), call("bash", cmd="ls"), call("no_such_tool"), SUBMIT, bash("echo late")]
    played = Scripted.of(talk, [], [], [])
    trainer(played, tmp_path, environments(shared), [ROW], max_tool_calling_iterations=10).train()
    read = played.asked[-1]
    answers = [part.split("\n</tool_response>")[0] for part in read.split("<tool_response>\n")[1:]]
    assert answers[0].strip() == "ONE TWO" and answers[1].strip() == ""
    assert "cmd" in answers[2] and "no_such_tool" in answers[3]
    assert "The task is over" in answers[5], "after the submission nothing is run"
    assert played.rewards == [[0, 0, 0, 0]]


def test_a_sample_that_infrastructure_spoiled_has_no_reward_and_counts_in_nobodys_mean(shared: Server, tmp_path: Path) -> None:
    played, grpo = losing_the_third(shared, tmp_path)
    grpo.train()
    assert played.rewards[0][:2] + played.rewards[0][3:] == [1, 0, 1] and math.isnan(played.rewards[0][2])
    assert played.advantages[0] == pytest.approx(expected([1, 0, None, 1]), abs=1e-3)
    assert "released" in str(grpo.environments[2].lost).lower() or "ended" in str(grpo.environments[2].lost).lower()
    assert grpo.state.log_history[0]["reward"] == pytest.approx(2 / 3, abs=1e-3)


@pytest.mark.parametrize("later", [False, True])
def test_beside_other_reward_functions_it_counts_in_nobodys_mean_either(shared: Server, tmp_path: Path, later: bool) -> None:
    def brief(completions: list[Any], **_: Any) -> list[float]:
        return [0.25] * len(completions)

    async def brief_later(completions: list[Any], **_: Any) -> list[float]:
        return [0.25] * len(completions)

    played, grpo = losing_the_third(shared, tmp_path, reward_funcs=[unless_lost(brief_later if later else brief)])
    grpo.train()
    assert math.isnan(played.rewards[0][2]) and played.rewards[0][:2] == [0.25, 0.25]
    assert played.advantages[0] == pytest.approx(expected([1.25, 0.25, None, 1.25]), abs=1e-3)
    name = "brief_later" if later else "brief"
    assert grpo.state.log_history[0][f"rewards/{name}/mean"] == 0.25
    assert not living(shared)


def losing_the_third(server: Server, folder: Path, **settings: Any) -> Any:
    """A trainer whose third trajectory of four is gone under the policy's hands, as when a lease ends."""

    def release_the_third() -> None:
        async def work() -> None:
            async with sandlot.connect(server.address) as client:
                await client.release([played.victim.trajectory_id])  # type: ignore[attr-defined]

        asyncio.run(work())

    played = Scripted.of(GOLD, WRONG, ["lose it", SUBMIT], GOLD, hooks={"lose it": release_the_third})
    grpo = trainer(played, folder, environments(server), [ROW], **settings)
    began = grpo._generate

    def noted(prompts: Any) -> Any:
        played.victim = grpo.environments[2]  # type: ignore[attr-defined]
        return began(prompts)

    grpo._generate = noted
    return played, grpo


def test_a_server_that_is_killed_and_started_again_costs_no_reward(own: Server, tmp_path: Path) -> None:
    def restart() -> None:
        own.kill()
        own.start()

    own.start()
    played = Scripted.of([GOLD[0], "restart", SUBMIT], WRONG, GOLD, [], hooks={"restart": restart})
    trainer(played, tmp_path, environments(own), [ROW]).train()
    assert played.rewards == [[1, 0, 1, 0]]


def test_no_trajectory_at_all_is_no_reward_and_does_not_stop_the_training(tmp_path: Path) -> None:
    played = Scripted.of(GOLD, [SUBMIT], [], [])
    factory = partial(SandlotEnvironment, server="127.0.0.1:9", patience_s=0.5)
    grpo = trainer(played, tmp_path, factory, [ROW])
    grpo.train()
    assert all(math.isnan(one) for one in played.rewards[0])
    assert played.advantages == [[0, 0, 0, 0]]
    assert "no Sandlot server answers at 127.0.0.1:9" in str(grpo.environments[0].lost)


def test_work_that_is_not_submitted_counts_only_where_the_settings_say_so(shared: Server, tmp_path: Path) -> None:
    for counts in (False, True):
        played = Scripted.of(GOLD[:1], [], [], [])
        trainer(played, tmp_path, environments(shared, grade_unsubmitted=counts), [ROW]).train()
        assert played.rewards == [[float(counts), 0, 0, 0]]


def test_a_wrong_set_up_stops_the_training_and_is_named(shared: Server, tmp_path: Path) -> None:
    with pytest.raises(sandlot.NotFoundError, match="does not know the task 'no-such-task'"):
        trainer(Scripted.of(), tmp_path, environments(shared), [{**ROW, "task_id": "no-such-task"}]).train()
    with pytest.raises(ValueError, match="expected a string in the column `task_id`"):
        trainer(Scripted.of(), tmp_path, environments(shared), [{"prompt": ROW["prompt"]}]).train()
    with pytest.raises(ValueError, match="SandlotEnvironment: expected the keys server, .*got 'retrys'"):
        SandlotEnvironment(retrys=3)
    with pytest.raises(ValueError, match="on_failure"):
        SandlotEnvironment(on_failure="zero")


def test_a_model_that_samples_its_own_tokens_trains(shared: Server, tmp_path: Path) -> None:
    """Nothing scripted: the tiny model babbles, and each sample gets a valid 0."""
    grpo = trainer(GRPOTrainer, tmp_path, environments(shared, grade_unsubmitted=True), [ROW], max_completion_length=16, max_steps=2)
    grpo.train()
    assert [entry["reward"] for entry in grpo.state.log_history if "reward" in entry] == [0, 0]
    assert not living(shared)
