"""The deterministic smoke of rewards: every bundled task with every patch that lies beside it, each in two ways. See scripts/reward-regression."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sandlot
from bundled import FOLDER, IDS, Answers, applied
from server import Server

PROCESS = "backend: { type: process, commands_run_unprotected_on_this_host: true }\n"
LABELS = {"program": "reward-regression"}
SIGNALS = (signal.SIGINT, signal.SIGTERM)
CASE_S = 600.0
ALL_S = 1200.0


@dataclass(frozen=True)
class Case:
    """One patch on one task, in one way; `expected`: reward, validity and outcome."""

    task: str
    name: str
    way: str
    patch: str
    expected: str

    async def grade(self, client: sandlot.Client) -> sandlot.Grade:
        if self.way == "patch":
            return await client.grade_patch(self.task, self.patch)
        async with client.trajectory(self.task, labels=LABELS) as t:
            if self.patch:
                result = await t.bash(applied(self.patch))
                if result.exit_code != 0:
                    raise RuntimeError(f"the patch does not apply: {result.text.strip()}")
            return await t.submit()


def cases_of(task: str) -> Iterator[Case]:
    answers = Answers.of(task)
    patches = [("verified", answers.gold, "1 VALID RESOLVED"), ("empty", "", "0 VALID EMPTY_PATCH")]
    patches += [(name, patch, "0 VALID UNRESOLVED") for name, patch in answers.wrong.items()]
    for name, patch, expected in patches:
        for way in ("patch", "trajectory"):
            yield Case(task, name, way, patch, expected)


async def play(address: str, cases: list[Case], at_once: int) -> int:
    """How many cases did not come out as they must. Each has its line, in their order: what is printed is the same, byte for byte, wherever they are played. Times go to stderr."""
    places = asyncio.Semaphore(at_once)
    differences = 0

    async def one(case: Case) -> str:
        async with places:
            began = time.monotonic()
            try:
                async with asyncio.timeout(CASE_S):
                    got = told(await case.grade(client))
            except (sandlot.SandlotError, RuntimeError, TimeoutError) as error:
                got = f"{type(error).__name__}: {error}".replace("\n", " ")
            print(f"{(time.monotonic() - began) * 1000:6.0f} ms {case.task} {case.name} {case.way}", file=sys.stderr, flush=True)
            return got

    async with sandlot.connect(address, patience=20) as client:
        async with asyncio.TaskGroup() as group:
            playing = [(case, group.create_task(one(case))) for case in cases]
            for case, task in playing:
                got = await task
                same = got.split(" (")[0] == case.expected
                differences += not same
                print(f"{'ok  ' if same else 'DIFF'} {case.task:20} {case.name:28} {case.way:10} expected {case.expected:20} got {got}", flush=True)
    return differences


def told(grade: sandlot.Grade) -> str:
    reward = "none" if grade.reward is None else format(grade.reward, "g")
    why = f" ({grade.reason})" if grade.reward is None else ""
    return f"{reward} {grade.validity} {grade.outcome}{why}"


async def offered(address: str) -> tuple[list[str], list[str]]:
    """The tasks that can be played, and what is wrong with the offer: it must be what lies in the checkout, all of it playable."""
    async with sandlot.connect(address, patience=20) as client:
        info = await client.info()
        print(f"sandlot {info.version}: backend {info.backend}{'' if info.isolated else ', WHICH ISOLATES NOTHING'}", file=sys.stderr)
        tasks = {task.id: task async for task in client.tasks("dataset=bundled")}
    wrong = [f"{task.id} cannot be played on this host: {task.unplayable_reason}" for task in tasks.values() if not task.playable]
    wrong += [f"{name} lies in {FOLDER} and is not offered" for name in IDS if name not in tasks]
    wrong += [f"{name} is offered and does not lie in {FOLDER}" for name in tasks if name not in IDS]
    return sorted(name for name in IDS if name in tasks and tasks[name].playable), wrong


async def regress(server: Server, at_once: int) -> bool:
    began = time.monotonic()
    tasks, wrong = await offered(server.address)
    for line in wrong:
        print(f"DIFF {line}")
    cases = [case for task in tasks for case in cases_of(task)]
    differences = await play(server.address, cases, at_once)
    print(f"{len(cases) - differences} of {len(cases)} cases as expected, {len(tasks)} of {len(IDS)} tasks played")
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return differences + len(wrong) == 0 and len(cases) > 0


async def release_all(address: str) -> None:
    async with sandlot.connect(address, patience=20) as client:
        await client.release(labels=LABELS)


def cleaned(server: Server) -> bool:
    """Stops the server and looks for what it left. Nothing on this machine was named after it before."""
    code = server.stop()
    left = server.leftovers()
    print(f"clean-up: the server ended with {code}; left of its sandboxes: " + ", ".join(f"{len(found)} {what}" for what, found in left.items()))
    for what, found in left.items():
        for one in found:
            print(f"DIFF {what} left behind: {one}")
    return code == 0 and not any(left.values())


async def until_signal(server: Server, at_once: int) -> int:
    """Ctrl-C and SIGTERM end the cases, which release what they have; a second signal changes nothing."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(regress(server, at_once))

    def stop() -> None:
        for number in SIGNALS:
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        async with asyncio.timeout(ALL_S):
            return 0 if await task else 1
    except TimeoutError:
        print(f"DIFF not done within {ALL_S:.0f} s")
        return 1
    except asyncio.CancelledError:
        print("stopped")
        return 130
    finally:
        await release_all(server.address)


def main(at_once: int, settings: Path | None) -> int:
    isolated = os.geteuid() == 0
    if not isolated and settings is None:
        print("Without root the rewards are those of the process backend, which isolates nothing.", file=sys.stderr)
    folder = Path(tempfile.mkdtemp(prefix="sandlot-rewards-", dir=os.environ.get("TMPDIR", "/var/tmp")))
    config = settings.read_text() if settings else "" if isolated else PROCESS
    server = Server(folder, config=config)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    status, clean = 130, False
    try:
        server.start()
        status = asyncio.run(until_signal(server, at_once))
    except KeyboardInterrupt:
        print("stopped")
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        clean = cleaned(server)
        if clean:
            server.remove()
        else:
            print(f"kept to look at: {folder}")
    return status or (0 if clean else 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Every bundled task, every patch, two ways: is each reward as it must be?")
    parser.add_argument("--at-once", type=int, default=2 * (os.cpu_count() or 1), help="how many cases to play at once (default: two a core)")
    parser.add_argument("--config", type=Path, help="settings of the server, to play on another backend (default: oci, or process without root)")
    chosen = parser.parse_args()
    sys.exit(main(chosen.at_once, chosen.config))
