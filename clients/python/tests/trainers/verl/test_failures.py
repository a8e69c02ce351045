"""What the infrastructure does to samples: played again, dropped, counted; never a 0 that nobody asked for."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sandlot
from conftest import OTHER, TASK, living
from fake import Fake, fault
from playing import Verl, rewards
from scripted import SUBMIT, bash
from server import Server
from serving import BACKEND

from sandlot._gen import grade_pb2, trajectory_pb2

GOLD = (TASK, f"gold-{TASK}")
Happening = Callable[[int], Awaitable[None]]


def happens(verl: Verl, at_message: int, what: Happening) -> None:
    """Before the model's message of that number (from 1), each time it comes up; `what` is told how often it did."""
    times = 0

    async def before(message: int) -> None:
        nonlocal times
        if message == at_message:
            times += 1
            await what(times)

    verl.before = before


def released(address: str) -> Happening:
    """All trajectories end by somebody else's hand, the first time only."""

    async def what(times: int) -> None:
        if times == 1:
            async with sandlot.connect(address) as client:
                ids = [one.id async for one in client.list_trajectories() if one.state != "ENDED"]
                assert len(ids) == 1
                await client.release(ids)

    return what


def test_an_attempt_that_was_ended_from_outside_is_made_again_on_a_new_trajectory(verl: Verl, shared: Server) -> None:
    happens(verl, 3, released(shared.address))
    out = verl.play(GOLD)
    assert rewards(out) == [1]
    assert [out.non_tensor_batch[key][0] for key in ("redone", "infra_failed", "steps")] == [1, 0, 3]
    assert not living(shared)


def test_an_attempt_whose_sandbox_was_killed_by_the_host_is_made_again(verl: Verl, shared: Server) -> None:
    if BACKEND:
        pytest.skip("needs the oci backend, which needs root here")

    async def killed(times: int) -> None:
        if times == 1:
            async with sandlot.connect(shared.address) as client:
                (one,) = [one async for one in client.list_trajectories() if one.state != "ENDED"]
            for pid in [pid for pid in os.listdir("/proc") if pid.isdigit() and one.id in control_group(pid)]:
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)

    happens(verl, 2, killed)
    out = verl.play(GOLD)
    assert rewards(out) == [1]
    assert [out.non_tensor_batch[key][0] for key in ("redone", "infra_failed")] == [1, 0]


def control_group(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""


async def always(address: str) -> None:
    async with sandlot.connect(address) as client:
        await client.release([one.id async for one in client.list_trajectories() if one.state != "ENDED"])


def test_what_fails_for_good_stops_the_batch_where_no_sample_can_be_dropped(verl: Verl, shared: Server) -> None:
    verl.settings["retries"] = 1
    happens(verl, 2, lambda _: always(shared.address))
    with pytest.raises(RuntimeError, match=r"no reward after 2 attempts, and this trainer cannot drop a sample: trajectory sandlot-.*: ended"):
        verl.play(GOLD)
    assert not living(shared)


def test_what_fails_for_good_is_a_counted_0_where_the_yaml_says_zero(verl: Verl, shared: Server) -> None:
    verl.settings.update(retries=1, on_failure="zero")
    happens(verl, 2, lambda _: always(shared.address))
    out = verl.play(GOLD)
    assert rewards(out) == [0]
    assert [out.non_tensor_batch[key][0] for key in ("infra_failed", "redone", "acc")] == [1, 1, 0]
    assert out.batch["response_mask"].sum() > 0


def test_a_server_that_stays_away_is_a_counted_0_too_and_still_has_tokens_of_the_model(verl: Verl) -> None:
    verl.settings.update(server="127.0.0.1:9", patience_s=0.5, on_failure="zero")
    out = verl.play((TASK, "empty"))
    assert rewards(out) == [0]
    assert out.non_tensor_batch["infra_failed"][0] == 1
    assert out.batch["response_mask"].sum() > 0


def test_a_grade_without_a_verdict_is_no_0(verl: Verl) -> None:
    verdicts = [grade_pb2.VALIDITY_INFRA, grade_pb2.VALIDITY_FLAKY, grade_pb2.VALIDITY_VALID]

    def executed(request: Any) -> trajectory_pb2.Result:
        validity = verdicts.pop(0)
        grade = grade_pb2.Grade(id="g", validity=validity, submitted=True, outcome=grade_pb2.OUTCOME_RESOLVED)
        if validity == grade_pb2.VALIDITY_VALID:
            grade.reward = 1
        return trajectory_pb2.Result(step=1, call_id=request.call_id, kind=trajectory_pb2.RESULT_KIND_DONE, terminated=True, grade=grade)

    out = against_fake(verl, lambda fake: fake.on("Execute", executed))
    assert rewards(out) == [1]
    assert out.non_tensor_batch["redone"][0] == 2


def test_a_task_that_is_broken_is_not_tried_again(verl: Verl) -> None:
    asked: list[Any] = []

    def create(request: Any) -> Any:
        asked.append(request)
        return fault("task", "ABORTED")

    with pytest.raises(RuntimeError, match=r"no reward after 1 attempts.*task: words about task"):
        against_fake(verl, lambda fake: fake.on("Create", create))
    assert len(asked) == 1


def test_a_release_that_fails_takes_no_reward_away(verl: Verl) -> None:
    def told(fake: Fake) -> None:
        fake.on("Execute", graded)
        fake.on("Release", fault("internal", "INTERNAL"))

    assert rewards(against_fake(verl, told)) == [1]


def graded(request: Any) -> trajectory_pb2.Result:
    grade = grade_pb2.Grade(id="g", validity=grade_pb2.VALIDITY_VALID, outcome=grade_pb2.OUTCOME_RESOLVED, reward=1, submitted=True)
    return trajectory_pb2.Result(step=1, call_id=request.call_id, kind=trajectory_pb2.RESULT_KIND_DONE, terminated=True, grade=grade)


def against_fake(verl: Verl, told: Callable[[Fake], None]) -> Any:
    """The row of a live server played against one that says what the test wants."""
    config = verl.config()
    batch = verl.batch(config, [(TASK, "empty")])

    async def played() -> Any:
        fake = Fake()
        told(fake)
        await fake.start()
        try:
            verl.settings["server"] = fake.address
            return await verl.worker(verl.config()).generate_sequences(batch)
        finally:
            await fake.stop()

    return asyncio.run(played())


def test_a_server_killed_and_started_again_amid_64_trajectories_loses_no_reward(verl: Verl, own: Server) -> None:
    own.start()
    verl.settings["server"] = own.address
    verl.policies["slow"] = [bash("sleep 1"), *verl.policies[f"gold-{TASK}"][1:]]
    under_way = threading.Event()

    async def noticed(message: int) -> None:
        if message == 3:
            under_way.set()

    verl.before = noticed
    plays = [(TASK, "slow"), (TASK, "wrong"), (OTHER, f"gold-{OTHER}"), (TASK, "empty")] * 16

    def killer() -> None:
        assert under_way.wait(240)
        own.kill()
        own.start()

    thread = threading.Thread(target=killer)
    thread.start()
    out = verl.play(*plays)
    thread.join()
    assert rewards(out) == [1, 0, 1, 0] * 16
    assert out.non_tensor_batch["infra_failed"].sum() == 0
    assert out.non_tensor_batch["submitted"].sum() == 64
    assert not living(own)
