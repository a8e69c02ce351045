"""verl's managers on Ray: several worker processes, and the queue of its V1 trainer."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import ray
import sandlot.sync
from bundled import task_file
from conftest import OTHER, TASK, living
from playing import Verl, manager_of, rewards
from scripted import second_message_waits
from server import Server
from verl import DataProto
from verl.utils.dataset.rl_dataset import collate_fn


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
    manager = manager_of(config, verl.model)
    out = manager.generate_sequences(batch)
    assert rewards(out) == [1, 0, 1, 0] * 16
    assert sorted(out.meta_info["reward_extra_keys"])[:2] == ["acc", "infra_failed"]
    assert out.non_tensor_batch["infra_failed"].sum() == 0
    assert not living(shared)


def test_the_v1_trainer_gets_no_row_for_a_sample_without_a_verdict(verl: Verl, own: Server, cluster: None) -> None:
    tq = pytest.importorskip("transfer_queue", reason="this verl has no V1 trainer")
    from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ
    from verl.utils import tensordict_utils

    own.tasks.append(task_file(own.folder, "broken", environment={"baseCommit": "0" * 40}))
    own.start()
    verl.settings["server"] = own.address
    verl.overrides += ["actor_rollout_ref.rollout.agent.num_workers=1", "transfer_queue.backend.SimpleStorage.num_data_storage_units=1"]
    config = verl.config()
    rows = verl.samples(config, [(TASK, f"gold-{TASK}"), ("broken", "empty"), (TASK, "wrong")])
    verl.worker(config)
    tq.init(config.transfer_queue)
    try:
        manager = AgentLoopManagerTQ.create(config, verl.model, None, [])
        uids = ["gold", "broken", "wrong"]
        batch = tensordict_utils.get_tensordict({**collate_fn(rows), "uid": np.array(uids, dtype=object)})
        tensordict_utils.assign_non_tensor_data(batch, "global_steps", 1)
        tq.kv_batch_put(keys=uids, partition_id="train", tags=[{"is_prompt": True, "status": "pending", "global_steps": 1}] * 3)
        manager.generate_sequences(batch)
        Server.wait_until(lambda: all(tq.kv_list("train")["train"][uid]["status"] in ("finished", "failure") for uid in uids), "every prompt to be over", 120)
        tags = tq.kv_list("train")["train"]
        assert {uid: tags[uid]["status"] for uid in uids} == dict.fromkeys(uids, "finished")
        kept = sorted(set(tags) - set(uids))
        assert kept == ["gold_0_0", "gold_1_0", "wrong_0_0", "wrong_1_0"], "two rollouts of each, none of the broken task"
        data = tq.kv_batch_get(keys=kept, partition_id="train", select_fields=["rm_scores"])
        assert [scores.sum().item() for scores in data["rm_scores"].unbind()] == [1, 1, 0, 0]
    finally:
        tq.close()


def test_the_advantages_of_a_group_are_those_of_the_samples_that_have_a_verdict(verl: Verl, own: Server, cluster: None, tmp_path: Path) -> None:
    """One of four is lost; verl's V1 trainer then computes as if there had been three."""
    tq = pytest.importorskip("transfer_queue", reason="this verl has no V1 trainer")
    from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ
    from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories
    from verl.utils import tensordict_utils

    own.start()
    verl.settings.update(server=own.address, retries=0)
    verl.overrides += ["actor_rollout_ref.rollout.n=4", "actor_rollout_ref.rollout.agent.num_workers=1", "transfer_queue.backend.SimpleStorage.num_data_storage_units=1"]
    verl.before = partial(second_message_waits, tmp_path / "lost")
    config = verl.config()
    rows = verl.samples(config, [(TASK, f"gold-{TASK}+wrong")])
    verl.worker(config)
    loser = threading.Thread(target=lose_the_third, args=(own, tmp_path / "lost"), daemon=True)
    loser.start()
    tq.init(config.transfer_queue)
    try:
        manager = AgentLoopManagerTQ.create(config, verl.model, None, [])
        batch = tensordict_utils.get_tensordict({**collate_fn(rows), "uid": np.array(["group"], dtype=object)})
        tensordict_utils.assign_non_tensor_data(batch, "global_steps", 1)
        tq.kv_batch_put(keys=["group"], partition_id="train", tags=[{"is_prompt": True, "status": "pending", "global_steps": 1}])
        manager.generate_sequences(batch)
        Server.wait_until(lambda: tq.kv_list("train")["train"]["group"]["status"] in ("finished", "failure"), "the prompt to be over", 120)
        kept = sorted(set(tq.kv_list("train")["train"]) - {"group"})
        assert kept == ["group_0_0", "group_1_0", "group_3_0"]
        data = DataProto(batch=tq.kv_batch_get(keys=kept, partition_id="train", select_fields=["rm_scores", "response_mask"]).to_padded_tensor())
    finally:
        tq.close()
        loser.join()
    scores = data.batch["rm_scores"].sum(-1).tolist()
    assert sorted(set(scores)) == [0, 1]
    data.batch["token_level_rewards"] = data.batch["rm_scores"]
    data.non_tensor_batch["uid"] = np.array(["group"] * 3, dtype=object)
    found = compute_advantage_for_multi_trajectories(data, kept, config.algorithm.adv_estimator, num_repeat=4, config=config.algorithm)
    by_hand = [(score - statistics.mean(scores)) / (statistics.stdev(scores) + 1e-6) for score in scores]
    for advantages, mask, expected in zip(found.batch["advantages"], data.batch["response_mask"].bool(), by_hand, strict=True):
        assert advantages[mask].tolist() == pytest.approx([expected] * int(mask.sum()))


def lose_the_third(server: Server, done: Path) -> None:
    """As when a lease ends: the trajectory is gone under the policy's hands."""
    Server.wait_until(lambda: any(one.labels.get("sample") == "2" for one in living(server)), "the third sample to begin", 120)
    with sandlot.sync.connect(server.address) as client:
        client.release([one.id for one in living(server) if one.labels.get("sample") == "2"])
    done.touch()
