"""verl's own loop `tool_agent` with the two tools, and verl's own reward worker with our reward function."""

from __future__ import annotations

import asyncio
import copy
import gc
from types import SimpleNamespace
from typing import Any

import pytest
import sandlot
from conftest import OTHER, TASK, living
from playing import Verl, rewards, worker_of
from server import Server
from verl.experimental.reward_loop.reward_loop import RewardLoopWorker

from sandlot.adapters.verl import reward


@pytest.fixture
def stock(verl: Verl) -> Verl:
    """By one line of the data set (`agent_name`) and two of the configuration."""
    verl.agent = "tool_agent"
    verl.overrides += [
        "reward.custom_reward_function.path=pkg://sandlot.adapters.verl.reward",
        "reward.custom_reward_function.name=compute_score",
        "actor_rollout_ref.rollout.multi_turn.max_tool_response_length=1500",
    ]
    return verl


def play(stock: Verl, *plays: tuple[str, str], change: Any = None) -> Any:
    config = stock.config()
    batch = stock.batch(config, plays, change)

    async def played() -> Any:
        rewarder = RewardLoopWorker(config)

        async def remote(data: Any) -> Any:
            return await rewarder.compute_score(copy.deepcopy(data))  # Ray would send a copy

        stock.worker(config)
        worker = worker_of(config, stock.model, [SimpleNamespace(compute_score=SimpleNamespace(remote=remote))])
        out = await worker.generate_sequences(batch)
        gc.collect()
        await released()
        return out

    return asyncio.run(played())


async def released() -> None:
    """verl lets go of a trajectory's data behind its last reward; what that sets off has some time to happen."""
    import os

    async with sandlot.connect(os.environ["SANDLOT_SERVER"]) as client:
        for _ in range(2000):
            if not [one async for one in client.list_trajectories() if one.state != "ENDED"]:
                return
            await asyncio.sleep(0.05)


def test_the_rewards_of_the_server_come_through_the_reward_function(stock: Verl, shared: Server) -> None:
    out = play(stock, (TASK, f"gold-{TASK}"), (OTHER, f"gold-{OTHER}"), (TASK, "wrong"), (TASK, "silent"), (TASK, "odd-arguments"), (TASK, "after-the-end"))
    assert rewards(out) == [1, 1, 0, 0, 0, 0]
    assert list(out.non_tensor_batch["submitted"]) == [1, 1, 1, 0, 0, 1]
    assert out.non_tensor_batch["infra_failed"].sum() == 0
    assert not living(shared), "trajectories end with verl's data of them"


def test_a_server_that_is_not_there_stops_the_batch_and_is_no_0(stock: Verl) -> None:
    stock.tool_settings.update(server="127.0.0.1:9", patience_s=0.5)
    with pytest.raises(RuntimeError, match=r"no reward for a sample of sandlot/.*no Sandlot server answers at 127\.0\.0\.1:9"):
        play(stock, (TASK, f"gold-{TASK}"))


def test_a_row_without_tools_kwargs_is_no_silent_0(stock: Verl) -> None:
    def changed(row: dict[str, Any]) -> None:
        row["extra_info"]["tools_kwargs"]["submit_solution"] = {"create_kwargs": {"task_id": None}}

    with pytest.raises(RuntimeError, match=r"expected a string at extra_info\.tools_kwargs\.submit_solution\.create_kwargs\.task_id"):
        play(stock, (TASK, "empty"), change=changed)


def test_a_failure_is_a_counted_0_where_the_reward_function_is_told_so() -> None:
    extra = {"sandlot_problem": "the server is gone", "sandlot": {"score": 0.0, "infra_failed": 1.0}}
    assert reward.compute_score("d", "", "", dict(extra), on_failure="zero") == {"score": 0.0, "infra_failed": 1.0}
    with pytest.raises(RuntimeError, match="the server is gone"):
        reward.compute_score("d", "", "", dict(extra))
