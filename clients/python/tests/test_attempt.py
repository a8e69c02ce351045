"""What all adapters for trainers play through: no verdict but a valid one is a reward, or a 0, to any of them."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest
import sandlot.sync
from fake import Fake

import sandlot
from sandlot._background import BackgroundLoop
from sandlot._gen import grade_pb2, trajectory_pb2
from sandlot.adapters.attempt import Attempt, attempt
from sandlot.adapters.background import shared
from sandlot.adapters.settings import Settings
from sandlot.adapters.trl import SandlotEnvironment
from sandlot.testing import FakeServer, FakeTask

NOT_VALID = [value for name, value in grade_pb2.Validity.items() if name != "VALIDITY_VALID"]


async def settled(fake: Fake, validity: int, *, submits: bool) -> Attempt:
    # A server that sends a number all the same.
    grade = grade_pb2.Grade(id="g", validity=validity, outcome=grade_pb2.OUTCOME_COMPILES, reward=1, submitted=True)
    done = trajectory_pb2.Result(step=1, kind=trajectory_pb2.RESULT_KIND_DONE, terminated=True, grade=grade)
    fake.on("Execute", done)
    fake.on("Grade", grade)
    settings = Settings(server=fake.address, grade_unsubmitted=not submits)
    async with attempt(settings, "task", group=None, labels={}, tools=[]) as one:
        if submits:
            await one.call("submit_solution", {})
        await one.settle()
        return one


@pytest.mark.parametrize("submits", [True, False])
@pytest.mark.parametrize("validity", NOT_VALID, ids=grade_pb2.Validity.Name)
async def test_an_attempt_without_a_valid_verdict_is_lost_and_has_no_reward(fake: Fake, validity: int, submits: bool):
    one = await settled(fake, validity, submits=submits)
    assert one.lost is not None
    assert one.lost.again == (validity not in (grade_pb2.VALIDITY_TASK, grade_pb2.VALIDITY_STRUCTURAL))
    assert one.grade is not None and one.grade.reward is None
    assert {key: one.report()[key] for key in ("acc", "score", "infra_failed")} == {"acc": 0, "score": 0, "infra_failed": 1}


async def test_an_attempt_with_a_valid_verdict_has_its_reward(fake: Fake):
    one = await settled(fake, grade_pb2.VALIDITY_VALID, submits=True)
    assert (one.lost, one.reward, one.report()["score"], one.report()["infra_failed"]) == (None, 1, 1, 0)


def test_an_environment_that_is_collected_on_the_loops_own_thread_is_released_and_holds_nothing_up():
    """The garbage collector runs on whatever thread it pleases."""
    task = FakeTask("answer", {"answer.txt": ""}, solves=lambda files: False)
    with FakeServer([task]) as server:
        environment = SandlotEnvironment(server=server.address)
        environment.reset(task_id="answer")
        environment.itself = environment

        async def collected() -> None:
            gc.collect()

        del environment
        work = threading.Thread(target=lambda: shared().wait(collected()), daemon=True)
        work.start()
        work.join(20)
        assert not work.is_alive(), "the loop waits for itself"
        with sandlot.sync.connect(server.address) as client:
            until = time.monotonic() + 20
            while [one for one in client.list_trajectories() if one.state != "ENDED"]:
                assert time.monotonic() < until, "never released"
                time.sleep(0.01)
        shared().stop()


def test_who_waits_for_a_loop_on_its_own_thread_is_told_so():
    loop = BackgroundLoop()

    async def waits() -> None:
        loop.run(asyncio.sleep(0))

    try:
        with pytest.raises(RuntimeError, match="on the thread of its own loop"):
            loop.run(waits())
    finally:
        loop.stop()
