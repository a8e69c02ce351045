"""The GRPO example learns from true rewards and from nothing else, and plays on a live server."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sandlot.sync
from server import Server

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples"))

import trend  # noqa: E402
from grpo_numpy import COMMANDS, Policy, Sample, advantages_of, dealt, learn  # noqa: E402

TASKS = ["a", "b"]
RIGHT, WRONG, UNDO = (COMMANDS.index(name) for name in ("right", "wrong", "undo"))


def reward_of(moves: tuple[int, ...]) -> float:
    """What the server would say, without one: the right patch alone is applied, and handed in."""
    applied: set[int] = set()
    for move in moves[:-1]:
        if move == UNDO:
            applied.clear()
        elif move in (RIGHT, WRONG) and not applied:
            applied.add(move)
    return float(COMMANDS[moves[-1]] == "submit" and applied == {RIGHT})


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_policy_learns_from_its_rewards_and_from_shuffled_ones_it_does_not(seed: int, shuffled: bool) -> None:
    rng = np.random.default_rng(seed)
    policy = Policy(rng)
    rows: list[dict[str, float]] = []
    for _ in range(12):
        played = [(task, policy.play()) for task in TASKS for _ in range(16)]
        samples = [Sample(task, moves, reward_of(moves)) for task, moves in played]
        rows.append({"reward": float(np.mean([sample.reward for sample in samples])), "samples": len(samples)})
        learn(policy, dealt(samples, rng) if shuffled else samples, TASKS, rate=1.5)
    assert trend.judged(rows, shuffled, 0.3)[0]
    assert trend.judged(rows, True, 0.3)[0] == shuffled  # what has learnt is not flat
    assert trend.judged(rows, False, 0.3)[0] != shuffled


def test_a_run_is_flat_while_its_thirds_differ_by_no_more_than_so_many_samples_do() -> None:
    def curve(*means: float) -> list[dict[str, float]]:
        return [{"reward": mean, "samples": 32} for mean in means]

    assert trend.judged(curve(0.2, 0.2, 0.3, 0.1, 0.3, 0.3), True, 0.3) == (
        True,
        "0.200 over the first third, 0.300 over the last, 3 standard errors are 0.230: flat",
    )
    assert not trend.judged(curve(0.2, 0.2, 0.3, 0.1, 0.5, 0.5), True, 0.3)[0]
    assert not trend.judged(curve(0.2, 0.2, 0.2, 0.0, 0.0, 0.0), True, 0.3)[0]  # a collapse is no more flat than a rise
    lost = [{"reward": float("nan"), "samples": 0}]
    assert trend.judged([*curve(0.2), *lost, *curve(0.2)], True, 0.3)[0]
    assert not trend.judged([*curve(0.2, 0.2), *lost], True, 0.3)[0]
    assert not trend.judged(lost * 3, False, -1)[0]


def test_a_sample_without_a_verdict_leaves_its_siblings_as_they_are() -> None:
    group = [Sample("a", (0,), reward) for reward in (1.0, 0.0, 0.0)]
    assert advantages_of(group) == pytest.approx([2**0.5, -(0.5**0.5), -(0.5**0.5)])
    tables = []
    for extra in ([], [Sample("a", (1,), None)]):
        policy = Policy(np.random.default_rng(0))
        learn(policy, [*group, *extra], ["a"], rate=1.0)
        tables.append(policy.logits)
    assert np.array_equal(*tables)
    assert advantages_of([Sample("a", (0,), 0.0)] * 3) == [0.0, 0.0, 0.0]


def test_the_example_trains_on_a_live_server_writes_its_curve_and_frees_only_what_an_earlier_start_of_it_left(
    shared: Server, tmp_path: Path
) -> None:
    with sandlot.sync.connect(shared.address) as client:
        left = {
            run: client.trajectory("py-interval-merge", labels={"program": "grpo-numpy", "run_id": str(run)}).open()
            for run in (tmp_path, tmp_path / "another")
        }
        trains_and_writes_its_curve(shared, tmp_path)
        states = {one.id: one.state for one in client.list_trajectories()}
        assert states[left[tmp_path].id] == "ENDED" and states[left[tmp_path / "another"].id] == "ACTIVE"
        left[tmp_path / "another"].release()


def trains_and_writes_its_curve(shared: Server, tmp_path: Path) -> None:
    arguments = ["--steps", "2", "--tasks", "1", "--group", "3", "--rise", "-1", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "examples/grpo_numpy.py", shared.address, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    assert "step   2 of 2" in done.stdout
    rows = list(csv.DictReader((tmp_path / "curve.csv").open()))
    assert [(row["samples"], row["without_verdict"]) for row in rows] == [("3", "0")] * 2
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
