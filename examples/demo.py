"""
Plays groups of rollouts on the bundled tasks, as a GRPO trainer does, and checks the rewards. `scripts/demo` starts a
server and calls this; it works on any server: `python examples/demo.py HOST:PORT`.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import statistics
import sys
import time
import uuid
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sandlot
from policies import HARMLESS, HONEST, HOSTILE, Answers, Policy

BUNDLED = Path(__file__).resolve().parents[1] / "src/tasks/bundled"
LABELS = {"program": "sandlot-demo"}


async def main(address: str, wanted: int) -> int:
    began = time.monotonic()
    async with sandlot.connect(address, patience=30) as client:
        info = await client.info()
        print(f"sandlot {info.version} on {address}: backend {info.backend}, {info.tasks} tasks")
        if not info.isolated:
            print("  This backend does not isolate commands, so the hostile policies are left out.")
        await client.release(labels=LABELS)  # what a demo that was killed left behind
        tasks = await choose(client, wanted)
        await prepare(client, tasks)
        policies = HONEST + (HOSTILE if info.isolated else HARMLESS)
        rollouts = [Rollout(task, policy) for task in tasks for policy in policies]
        peak = await play_all(client, rollouts, len(policies))
        alone = await play_alone(client, tasks[0])
        report(rollouts, peak, alone)
    wrong = [rollout for rollout in rollouts if not rollout.as_expected]
    print(f"\n{len(rollouts) - len(wrong)} of {len(rollouts)} rewards as expected, {time.monotonic() - began:.0f} s.")
    for rollout in wrong:
        print(f"  {rollout.task}/{rollout.policy.name}: expected {rollout.policy.expected}, {rollout.story}")
    return 1 if wrong else 0


async def choose(client: sandlot.Client, wanted: int) -> list[str]:
    """Languages by turns, so that both are there when the host can play both."""
    by_language: dict[str, list[str]] = {}
    async for task in client.tasks("dataset=bundled"):
        if task.playable:
            by_language.setdefault(task.language, []).append(task.id)
        else:
            print(f"  {task.id} cannot be played on this host: {task.unplayable_reason}")
    longest = max(map(len, by_language.values()), default=0)
    turns = [ids[index] for index in range(longest) for ids in by_language.values() if index < len(ids)]
    if not turns:
        raise SystemExit("this server has no bundled task that can be played here: see `sandlot doctor`")
    return turns[:wanted]


async def prepare(client: sandlot.Client, tasks: list[str]) -> None:
    began, ready = time.monotonic(), 0
    async for event in client.prepare(tasks):
        if event.fault:
            raise SystemExit(f"{event.task_id}: {event.message}")
        ready += event.done
        show(f"  preparing environments: {ready} of {len(tasks)} ready ({event.task_id}: {event.stage})")
    show(f"  {ready} environments ready in {time.monotonic() - began:.1f} s", last=True)


@dataclass
class Rollout:
    """One trajectory of a group: it is also the hand that its policy plays with."""

    task: str
    policy: Policy
    workdir: str = ""
    steps: int = 0
    seconds: dict[str, list[float]] = field(default_factory=dict)
    grade: sandlot.Grade | None = None
    failure: str = ""
    record: str = ""
    _trajectory: sandlot.Trajectory | None = None

    async def play(self, client: sandlot.Client, group: tuple[str, int]) -> None:
        """A failure is kept as data: one bad rollout is no end of the batch."""
        try:
            await self._play(client, group)
        except (sandlot.SandlotError, RuntimeError) as error:
            self.failure = f"{type(error).__name__}: {error}"

    async def _play(self, client: sandlot.Client, group: tuple[str, int]) -> None:
        trajectory = client.trajectory(self.task, group=group, labels=LABELS, limits=self.policy.limits)
        with self._timed("create"):
            await trajectory.open()
        async with trajectory as t:
            self._trajectory, self.workdir, self.record = t, t.summary.workdir, t.summary.record_uri
            await self.policy.play(self, Answers.read(BUNDLED / self.task))
            with self._timed("grade"):
                self.grade = await t.submit()
            if self.grade.timings.command_ms:
                self.seconds["run"] = [self.grade.timings.grade_ms / 1000]

    async def call(self, tool: str, arguments: Mapping[str, Any], timeout_ms: int = 0) -> sandlot.Result:
        assert self._trajectory
        began = time.monotonic()
        result = await self._trajectory.execute(tool, arguments, timeout_ms=timeout_ms)
        overhead = time.monotonic() - began - result.timings.command_ms / 1000
        self.seconds.setdefault("execute", []).append(max(0.0, overhead))
        self.steps += 1
        return result

    async def bash(self, command: str, timeout_ms: int = 0) -> sandlot.Result:
        return await self.call("bash", {"command": command}, timeout_ms)

    async def turn(self, *calls: tuple[str, Mapping[str, Any]]) -> sandlot.Turn:
        assert self._trajectory
        turn = await self._trajectory.step([{"name": name, "arguments": arguments} for name, arguments in calls])
        self.steps += len(turn.results)
        return turn

    @property
    def as_expected(self) -> bool:
        grade = self.grade
        return grade is not None and grade.reward == self.policy.expected and grade.submitted == self.policy.submits

    @property
    def story(self) -> str:
        if self.grade is None:
            return self.failure or "no grade"
        submitted = "" if self.grade.submitted else ", submitted=false"
        return f"{self.grade.reward} {self.grade.validity} {self.grade.outcome}{submitted} ({self.grade.reason})"

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds.setdefault(what, []).append(time.monotonic() - began)


async def play_all(client: sandlot.Client, rollouts: list[Rollout], size: int) -> int:
    """All groups at once; gives the highest number of sandboxes seen alive."""
    run = uuid.uuid4().hex[:8]
    playing = [asyncio.create_task(one.play(client, (f"demo-{run}-{one.task}", size))) for one in rollouts]
    peak, began = 0, time.monotonic()
    try:
        while not all(task.done() for task in playing):
            await asyncio.wait(playing, timeout=0.25)
            alive = sum(pool.used for pool in (await client.info()).pools.values())
            peak = max(peak, alive)
            done = sum(task.done() for task in playing)
            steps = sum(one.steps for one in rollouts)
            elapsed = time.monotonic() - began
            show(f"  {done} of {len(playing)} rollouts done, {steps} steps, {alive} sandboxes alive, {elapsed:.0f} s")
        show(f"  {len(playing)} rollouts in {time.monotonic() - began:.1f} s", last=True)
        await asyncio.gather(*playing)
    finally:
        for task in playing:
            task.cancel()
        await asyncio.wait(playing)
    return peak


async def play_alone(client: sandlot.Client, task: str) -> dict[str, float]:
    """Median seconds of each call when nothing else goes on and the commands do nothing."""
    taken: dict[str, list[float]] = {"create": [], "execute": [], "submit": [], "release": []}
    for _ in range(5):
        trajectory = client.trajectory(task, labels=LABELS)
        taken["create"].append(await seconds(trajectory.open()))
        async with trajectory as t:
            for _ in range(10):
                taken["execute"].append(await seconds(t.bash("true")))
            taken["submit"].append(await seconds(t.submit()))
            taken["release"].append(await seconds(t.release()))
    return {call: statistics.median(all_of_it) for call, all_of_it in taken.items()}


async def seconds(work: Any) -> float:
    began = time.monotonic()
    await work
    return time.monotonic() - began


def report(rollouts: list[Rollout], peak: int, alone: dict[str, float]) -> None:
    report_rewards(rollouts)
    report_times(rollouts, peak, alone)
    if rollouts[0].record:
        folder = Path(rollouts[0].record.removeprefix("file://")).parent.parent
        print(f"\nrecords: {folder}/*/ (one line of JSON an event)")


def report_rewards(rollouts: list[Rollout]) -> None:
    policies = list(dict.fromkeys(one.policy.name for one in rollouts))
    print("\nrewards by policy (1 = solved, 0 = not, - = no trustworthy verdict)\n")
    print(f"  {'task':24}" + "".join(f"{name:>11}" for name in policies) + f"{'mean':>7}{'steps':>7}")
    for task in dict.fromkeys(one.task for one in rollouts):
        group = [one for one in rollouts if one.task == task]
        rewards = [one.grade.reward if one.grade else None for one in group]
        cells = "".join(f"{'-' if reward is None else format(reward, 'g'):>11}" for reward in rewards)
        known = [reward for reward in rewards if reward is not None]
        mean = format(statistics.mean(known), ".2f") if known else "-"
        print(f"  {task:24}{cells}{mean:>7}{sum(one.steps for one in group):>7}")
    print("\noutcomes")
    for name in policies:
        outcomes = sorted({one.grade.outcome if one.grade else "none" for one in rollouts if one.policy.name == name})
        late = any(one.grade and not one.grade.submitted for one in rollouts if one.policy.name == name)
        print(f"  {name:12}{', '.join(outcomes)}{' (submitted=false)' if late else ''}")


def report_times(rollouts: list[Rollout], peak: int, alone: dict[str, float]) -> None:
    times = {what: sorted(s for one in rollouts for s in one.seconds.get(what, [])) for what in MEASURED}
    print(f"\ntimes, all {len(rollouts)} trajectories at once     p50        p99")
    for what, meaning in MEASURED.items():
        if times[what]:
            print(f"  {meaning:34}{quantile(times[what], 0.5):>8.1f} ms{quantile(times[what], 0.99):>8.1f} ms")
    print(f"  sandboxes alive at peak: {peak}")
    print("\none trajectory alone, commands that do nothing: ", end="")
    print(", ".join(f"{call} {took * 1000:.1f} ms" for call, took in alone.items()))
    # What the environment itself costs, in hours of one worker.
    tax = (sum(alone.values()) + 149 * alone["execute"]) * 1e6 / 3600
    print(f"environment tax: {tax:.0f} worker-hours per million trajectories of 150 steps (compare: scripts/bench tax)")


MEASURED = {
    "create": "create",
    "execute": "execute, without the command",
    "grade": "grade, as the trainer waits for it",
    "run": "grade, its test run",
}


def quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


def show(line: str, *, last: bool = False) -> None:
    """One line that changes on a terminal; elsewhere only its last state."""
    if sys.stdout.isatty():
        print(f"\r\033[K{line}", end="\n" if last else "", flush=True)
    elif last:
        print(line, flush=True)


async def until_signal(work: Coroutine[Any, Any, int]) -> int:
    """Ctrl-C and SIGTERM cancel the rollouts, which releases them within seconds: a second signal changes nothing."""
    task = asyncio.ensure_future(work)
    cancelled = False

    def cancel_once() -> None:
        nonlocal cancelled
        if not cancelled:
            cancelled = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, cancel_once)
    try:
        return await task
    except asyncio.CancelledError:
        print("\nstopped: everything is released")
        return 130


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Plays groups of scripted rollouts on the bundled tasks.")
    parser.add_argument("address", help="HOST:PORT of the server")
    parser.add_argument("--tasks", type=int, default=4, help="how many tasks to play (default 4)")
    options = parser.parse_args()
    sys.exit(asyncio.run(until_signal(main(options.address, options.tasks))))
