"""
GRPO in two hundred lines of numpy against a live server: a policy that knows six commands learns in which order they
resolve the bundled tasks, from the server's rewards alone.

    scripts/sandlot serve --listen 127.0.0.1:50051 &
    .venv/bin/python examples/grpo_numpy.py 127.0.0.1:50051 --seed 1 --out /tmp/grpo

The commands are the same for every task: look around, see what was changed, apply the right patch or a tempting wrong
one, take everything back, submit. What the policy learns is their order: `--shuffle` deals each step's
rewards out at random among its samples, and then nothing is learnt. Writes `curve.csv` and `curve.png`; the exit status
says whether the run rose by `--rise`, or with `--shuffle` whether it stayed flat (trend.py).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import curve
import numpy as np
import sandlot
import trend
from policies import Answers, apply_command

BUNDLED = Path(__file__).resolve().parents[1] / "src/tasks/bundled"
COMMANDS = ("look", "review", "right", "wrong", "undo", "submit")
SUBMIT = COMMANDS.index("submit")
START = len(COMMANDS)
LONGEST = 5


@dataclass(frozen=True)
class Sample:
    """One rollout. `reward` is None when there is no verdict: the sample then counts for nothing."""

    task: str
    moves: tuple[int, ...]
    reward: float | None


class Policy:
    """The next command given the one before: a table of logits, softmax over each row."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.logits = np.zeros((len(COMMANDS) + 1, len(COMMANDS)))
        self._rng = rng

    def play(self) -> tuple[int, ...]:
        """Commands up to and with `submit`, or `LONGEST` of them without one."""
        moves: list[int] = []
        while len(moves) < LONGEST and (not moves or moves[-1] != SUBMIT):
            row = moves[-1] if moves else START
            moves.append(int(self._rng.choice(len(COMMANDS), p=self.chances(row))))
        return tuple(moves)

    def chances(self, row: int) -> np.ndarray:
        exponentials = np.exp(self.logits[row] - self.logits[row].max())
        return exponentials / exponentials.sum()

    def update(self, samples: Sequence[Sample], advantages: Sequence[float], rate: float) -> None:
        """One step up the policy gradient: the mean over samples of advantage times the gradient of the log-chance."""
        gradient = np.zeros_like(self.logits)
        for sample, advantage in zip(samples, advantages, strict=True):
            for row, move in zip((START, *sample.moves), sample.moves, strict=False):
                gradient[row] -= advantage * self.chances(row)
                gradient[row, move] += advantage
        self.logits += rate * gradient / max(1, len(samples))


def advantages_of(group: Sequence[Sample]) -> list[float]:
    """(reward - mean) / deviation within the group of one task; all 0 where every reward is the same."""
    rewards = np.array([sample.reward for sample in group], dtype=float)
    if len(rewards) == 0 or rewards.std() == 0:
        return [0.0] * len(rewards)
    return list((rewards - rewards.mean()) / rewards.std())


class Player:
    """Carries moves out in a trajectory of the server."""

    def __init__(self, client: sandlot.Client, at_once: int, labels: dict[str, str]) -> None:
        self._client = client
        self._labels = labels
        self._slots = asyncio.Semaphore(at_once)

    async def sample(self, task: str, moves: tuple[int, ...], group: str) -> Sample:
        async with self._slots, self._client.trajectory(task, group=group, labels=self._labels) as trajectory:
            for move in moves:
                if move == SUBMIT:
                    return Sample(task, moves, (await trajectory.submit()).reward)
                await trajectory.bash(command_of(move, task))
            return Sample(task, moves, 0.0)  # never handed in


def command_of(move: int, task: str) -> str:
    answers = Answers.read(BUNDLED / task)
    return {
        "look": "git log --oneline | head -5; git ls-files; cat README* | head -20",
        "review": "git status --short; git diff --stat",
        "right": apply_command(answers.gold),
        "wrong": apply_command(answers.wrong[0]),
        "undo": "git checkout -q . && git clean -qfd",
    }[COMMANDS[move]]


async def train(args: argparse.Namespace) -> list[dict[str, float]]:
    rng = np.random.default_rng(args.seed)
    policy, rows = Policy(rng), []
    async with sandlot.connect(args.address, patience=60) as client:
        labels = {"program": "grpo-numpy", "run_id": str(args.out.resolve())[-200:]}
        await client.release(labels=labels)  # what an earlier start of this run has left
        playable = [task.id async for task in client.tasks("dataset=bundled") if task.playable]
        tasks = args.task or playable[: args.tasks]
        player = Player(client, args.at_once, labels)
        for step in range(args.steps):
            began = time.monotonic()
            wanted = [(task, policy.play()) for task in tasks for _ in range(args.group)]
            samples = await asyncio.gather(
                *(player.sample(task, moves, f"{step}-{task}") for task, moves in wanted)
            )
            rows.append(summary(step, samples, time.monotonic() - began))
            learn(policy, dealt(samples, rng) if args.shuffle else samples, tasks, args.rate)
            print(f"step {step + 1:3} of {args.steps}: mean reward {rows[-1]['reward']:.2f}, {rows[-1]['seconds']:.1f} s", flush=True)
    return rows


def learn(policy: Policy, samples: Sequence[Sample], tasks: Sequence[str], rate: float) -> None:
    """Samples without a verdict are left out before anything is computed: their siblings' advantages do not see them."""
    groups = [[sample for sample in samples if sample.task == task and sample.reward is not None] for task in tasks]
    kept = [sample for group in groups for sample in group]
    policy.update(kept, [advantage for group in groups for advantage in advantages_of(group)], rate)


def dealt(samples: Sequence[Sample], rng: np.random.Generator) -> list[Sample]:
    rewards = rng.permutation(np.array([sample.reward for sample in samples], dtype=object))
    return [Sample(sample.task, sample.moves, reward) for sample, reward in zip(samples, rewards, strict=True)]


def summary(step: int, samples: Sequence[Sample], seconds: float) -> dict[str, float]:
    rewards = [sample.reward for sample in samples if sample.reward is not None]
    return {
        "step": step,
        "reward": float(np.mean(rewards)) if rewards else float("nan"),
        "samples": len(rewards),
        "without_verdict": len(samples) - len(rewards),
        "seconds": round(seconds, 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="HOST:PORT of the server")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--tasks", type=int, default=2, help="groups a step: so many bundled tasks")
    parser.add_argument("--task", action="append", help="this bundled task instead; may be repeated")
    parser.add_argument("--group", type=int, default=16, help="samples a group")
    parser.add_argument("--rate", type=float, default=1.5, help="learning rate")
    parser.add_argument("--at-once", type=int, default=8, help="trajectories at a time")
    parser.add_argument("--shuffle", action="store_true", help="deal each step's rewards out at random")
    parser.add_argument("--rise", type=float, default=0.3, help="the mean reward must rise by so much, else the exit status is 1")
    parser.add_argument("--out", type=Path, default=Path("grpo-numpy"))
    args = parser.parse_args()
    began = time.monotonic()
    rows = asyncio.run(train(args))
    title = f"mean reward by step, seed {args.seed}{', rewards shuffled' if args.shuffle else ''}"
    curve.write(rows, args.out, title)
    holds, found = trend.judged(rows, args.shuffle, args.rise)
    print(f"{title}: {found}; {time.monotonic() - began:.0f} s, {time.process_time():.0f} s of processor time here")
    print(f"curve: {args.out / 'curve.csv'}, {args.out / 'curve.png'}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
