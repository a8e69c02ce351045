"""verl's managers on Ray: several worker processes, and the queue of its V1 trainer."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from conftest import OTHER, TASK, living
from playing import Verl, rewards
from server import Server
from verl.experimental.agent_loop import AgentLoopManager


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short: sockets lie in it
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": paths}}, _temp_dir=folder)
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def test_64_trajectories_over_two_workers_get_their_rewards(verl: Verl, shared: Server, cluster: None) -> None:
    verl.overrides.append("actor_rollout_ref.rollout.agent.num_workers=2")
    verl.settings["server"] = shared.address
    plays = [(TASK, f"gold-{TASK}"), (TASK, "wrong"), (OTHER, f"gold-{OTHER}"), (TASK, "silent")] * 16
    config = verl.config()
    batch = verl.batch(config, plays)
    verl.worker(config)
    manager = AgentLoopManager.create(config, verl.model, None, [])
    out = manager.generate_sequences(batch)
    assert rewards(out) == [1, 0, 1, 0] * 16
    assert sorted(out.meta_info["reward_extra_keys"])[:2] == ["acc", "infra_failed"]
    assert out.non_tensor_batch["infra_failed"].sum() == 0
    assert not living(shared)
