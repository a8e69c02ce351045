"""The table of states: what each call finds in each of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sandlot
from raw import bash, create, refused, release, stub, turn, word
from sandlot._gen import grade_pb2, trajectory_pb2
from sandlot._gen import rollout_service_pb2 as pb
from server import Server, Serving, wake

NOBODY = f"sandlot-0123456789ab-{'0' * 32}"
# They do not wait for a grade that runs.
AT_ONCE = {"interrupt", "get", "heartbeat", "release"}
CALLS = ["execute", "step", "look", "finalize", "interrupt", "get", "heartbeat", "release"]
# What each call answers, in the order of CALLS: a result's kind, an outcome, a state, or the word of a fault.
TABLE = {
    "UNKNOWN": ["not_found", "not_found", "not_found", "not_found", "not_found", "not_found", "gone", "unknown"],
    "ACTIVE": ["OK", "OK", "UNRESOLVED", "UNRESOLVED", "ACTIVE", "ACTIVE", "ACTIVE", "RELEASED -"],
    "GRADING": ["DONE", "DONE", "UNRESOLVED", "UNRESOLVED", "GRADING", "GRADING", "GRADING", "RELEASED CANCELLED"],
    "SUBMITTED": ["DONE", "DONE", "UNRESOLVED", "UNRESOLVED", "SUBMITTED", "SUBMITTED", "SUBMITTED", "SUBMITTED VALID"],
    "ENDED": ["ended", "ended", "ended", "ended", "ended", "ENDED", "gone", "RELEASED -"],
    "ENDED with a grade": ["ended", "ended", "UNRESOLVED", "UNRESOLVED", "ended", "ENDED", "gone", "SUBMITTED VALID"],
}


async def answer(service: Any, call: str, name: str) -> str:
    """One word for what a call answers."""
    try:
        return await _answer(service, call, name)
    except sandlot.SandlotError as error:
        if error.fault == "ended":
            assert error.trajectory and error.trajectory.id == name, "the summary comes with the refusal"
        return error.fault


async def _answer(service: Any, call: str, name: str) -> str:
    try:
        if call == "execute":
            result = await service.Execute(bash(name, "an-execute", "true"), timeout=300)
            assert result.terminated == result.HasField("grade") == (result.kind == trajectory_pb2.RESULT_KIND_DONE)
            return word(trajectory_pb2.ResultKind, result.kind)
        if call == "step":
            done = await service.Step(turn(name, "a-step", "true"), timeout=300)
            assert len(done.observations) == 1
            return "DONE" if done.terminated and done.HasField("grade") else "OK"
        if call in ("look", "finalize"):
            grade = await service.Grade(pb.GradeRequest(trajectory_id=name, finalize=call == "finalize"), timeout=300)
            return word(grade_pb2.Outcome, grade.outcome)
        if call == "interrupt":
            return word(trajectory_pb2.State, (await service.Interrupt(pb.InterruptRequest(trajectory_id=name), timeout=300)).state)
        if call == "get":
            return word(trajectory_pb2.State, (await service.GetTrajectory(pb.GetTrajectoryRequest(trajectory_id=name), timeout=300)).state)
        if call == "heartbeat":
            beat = await service.Heartbeat(pb.HeartbeatRequest(trajectory_ids=[name]), timeout=300)
            return word(trajectory_pb2.State, beat.alive[0].state) if beat.alive else "gone" if list(beat.gone) == [name] else "?"
        ended = await release(service, name)
        if list(ended.unknown) == [name]:
            return "unknown"
        one = ended.trajectories[0]
        return f"{word(trajectory_pb2.Ending, one.ending)} {word(grade_pb2.Validity, one.grade.validity) if one.HasField('grade') else '-'}"
    except sandlot._stub.aio.AioRpcError as error:
        raise sandlot.errors.from_rpc(error) from error


async def brought_to(service: Any, state: str, attempt: str) -> tuple[str, asyncio.Task[Any] | None]:
    """A trajectory in that state, with a change that makes a grade run, and the grade that runs."""
    if state == "UNKNOWN":
        return NOBODY, None
    name = (await create(service, attempt, task_id="slow" if state == "GRADING" else "py-interval-merge")).id
    await service.Execute(bash(name, "change", "echo more >> README.md"), timeout=300)
    if state == "ENDED":
        await release(service, name)
    if state in ("SUBMITTED", "ENDED with a grade"):
        await service.Grade(pb.GradeRequest(trajectory_id=name, finalize=True), timeout=300)
    if state == "ENDED with a grade":
        await release(service, name)
    if state != "GRADING":
        return name, None
    grading = asyncio.create_task(_finalize(service, name))
    while (await service.GetTrajectory(pb.GetTrajectoryRequest(trajectory_id=name))).state != trajectory_pb2.STATE_GRADING:
        assert not grading.done()
        await asyncio.sleep(0.05)
    return name, grading


async def _finalize(service: Any, name: str) -> grade_pb2.Grade | sandlot.SandlotError:
    try:
        return await service.Grade(pb.GradeRequest(trajectory_id=name, finalize=True), timeout=300)
    except sandlot._stub.aio.AioRpcError as error:
        return sandlot.errors.from_rpc(error)


@pytest.mark.parametrize("state", TABLE)
def test_each_call_answers_as_the_table_of_states_says(anyone_slow: Serving, state: str) -> None:
    answered: set[str] = set()

    async def one(service: Any, call: str) -> str:
        name, grading = await brought_to(service, state, f"{state} {call}")
        got = await answer(service, call, name)
        answered.add(call)
        if grading and call != "release":
            grade = await grading
            assert isinstance(grade, grade_pb2.Grade) and grade.submitted
        elif grading:
            await grading
        await release(service, name)
        return got

    async def all_of_them() -> list[str]:
        async with stub(anyone_slow) as service:
            whole = asyncio.gather(*(one(service, call) for call in CALLS))
            while not whole.done():
                if answered >= AT_ONCE:
                    wake()  # the tests of those that are graded go on
                await asyncio.sleep(0.1)
            return await whole

    assert dict(zip(CALLS, asyncio.run(all_of_them()))) == dict(zip(CALLS, TABLE[state]))


def test_a_create_that_waits_is_nobody_to_others_and_leaves_the_queue_when_it_is_released(anyone_slow: Serving) -> None:
    async def play() -> None:
        async with stub(anyone_slow) as service:
            first, second = await asyncio.gather(*(create(service, f"holds {number}", pool="two") for number in (1, 2)))
            waiting = [asyncio.create_task(refused(create(service, f"waits {number}", pool="two", labels={"run": "w"}))) for number in (1, 2)]
            await until(lambda: queued(service, "two"), 2)
            full = await refused(create(service, "too many", pool="two"))
            assert full.fault == "busy" and full.retry_after and 0.1 < full.retry_after < 60
            attached = asyncio.create_task(refused(create(service, "waits 1", pool="two", labels={"run": "w"})))
            other = await refused(create(service, "waits 1", pool="two"))
            assert other.fault == "invalid" and "attempt_id" in str(other)
            by_attempt = await release(service, attempt_ids=["waits 1"])
            assert by_attempt.cancelled_creates == 1
            assert (await waiting[0]).fault == (await attached).fault == "ended"
            by_label = await release(service, labels={"run": "w"})
            assert by_label.cancelled_creates == 1 and (await waiting[1]).fault == "ended"
            await until(lambda: queued(service, "two"), 0)
            await release(service, first.id, second.id)

    asyncio.run(play())


async def queued(service: Any, pool: str) -> int:
    return (await service.GetServerInfo(pb.GetServerInfoRequest(), timeout=120)).pools[pool].queued


async def until(look: Any, wanted: object) -> None:
    async with asyncio.timeout(120):
        while await look() != wanted:
            await asyncio.sleep(0.02)


def test_release_by_label_ends_a_running_step_and_only_what_carries_all_of_the_labels(anyone_slow: Serving) -> None:
    async def play() -> None:
        async with stub(anyone_slow) as service:
            mine = (await create(service, "mine", labels={"run": "1", "host": "a"})).id
            other = (await create(service, "other", labels={"run": "1", "host": "b"})).id
            running = service.Execute(bash(mine, "long", "echo begun; sleep 1000"), timeout=300)
            await until(lambda: steps(service, mine), 1)
            assert len((await release(service, labels={"run": "1", "host": "c"})).trajectories) == 0
            assert len((await release(service)).trajectories) == 0, "no label is not every trajectory"
            ended = await release(service, labels={"run": "1", "host": "a"})
            assert [one.id for one in ended.trajectories] == [mine]
            assert word(trajectory_pb2.ResultKind, (await running).kind) == "INTERRUPTED"
            assert word(trajectory_pb2.State, (await service.GetTrajectory(pb.GetTrajectoryRequest(trajectory_id=other))).state) == "ACTIVE"
            await release(service, other)

    asyncio.run(play())


async def steps(service: Any, name: str) -> int:
    return (await service.GetTrajectory(pb.GetTrajectoryRequest(trajectory_id=name), timeout=120)).last_step


def test_what_nobody_renews_ends_by_its_lease_and_is_gone(anyone_slow: Serving) -> None:
    async def play() -> None:
        async with stub(anyone_slow) as service:
            left = (await create(service, "left alone", lease_ms=1000)).id
            kept = (await create(service, "kept", lease_ms=600_000)).id
            before = (await listed(service, kept)).lease_until.ToMilliseconds()
            await until(lambda: state(service, left), "ENDED")
            assert word(trajectory_pb2.Ending, (await listed(service, left)).ending) == "LEASE"
            Server.wait_until(lambda: left not in str(anyone_slow.leftovers()), "the sandbox to go")
            assert kept in str(anyone_slow.leftovers()["sandboxes"])
            renewed = await service.Heartbeat(pb.HeartbeatRequest(trajectory_ids=[kept]), timeout=120)
            assert renewed.alive[0].lease_until.ToMilliseconds() > before
            longer = await service.Heartbeat(pb.HeartbeatRequest(trajectory_ids=[kept], lease_ms=1_200_000), timeout=120)
            assert longer.alive[0].lease_until.ToMilliseconds() > before + 500_000
            await release(service, kept)

    asyncio.run(play())


def test_who_waits_for_an_answer_keeps_a_trajectory_alive(anyone_slow: Serving) -> None:
    async def play() -> None:
        async with stub(anyone_slow) as service:
            kept = (await create(service, "waited for", lease_ms=60_000)).id
            running = service.Execute(bash(kept, "c", "sleep 8; echo here"), timeout=300)
            await until(lambda: steps(service, kept), 1)
            await service.Heartbeat(pb.HeartbeatRequest(trajectory_ids=[kept], lease_ms=500), timeout=120)
            await asyncio.sleep(2.5)  # leases are looked at each second
            assert await state(service, kept) == "ACTIVE"
            await service.Heartbeat(pb.HeartbeatRequest(trajectory_ids=[kept], lease_ms=60_000), timeout=120)
            assert (await running).text == "here\n"
            await release(service, kept)

    asyncio.run(play())


async def state(service: Any, name: str) -> str:
    return word(trajectory_pb2.State, (await listed(service, name)).state)


async def listed(service: Any, name: str) -> trajectory_pb2.Trajectory:
    """Without renewing its lease."""
    answer = await service.ListTrajectories(pb.ListTrajectoriesRequest(page_size=1000), timeout=120)
    return next(one for one in answer.trajectories if one.id == name)


def test_lists_are_filtered_and_paged_and_records_tell_all(anyone_slow: Serving) -> None:
    async def play() -> None:
        async with sandlot.connect(anyone_slow.address) as client:
            made = [await client.trajectory("slow", group="many", labels={"n": str(n)}, attempt_id=f"many {n}").open() for n in range(5)]
            await made[0].release()
            find = [one async for one in client.list_trajectories("group=many state=ACTIVE", page_size=2)]
            assert [one.attempt_id for one in find] == [f"many {n}" for n in (4, 3, 2, 1)]
            assert [one.id async for one in client.list_trajectories("group=many ending=RELEASED")] == [made[0].id]
            assert [one.id async for one in client.list_trajectories("label.n=3 task_id=slow")] == [made[3].id]
            with pytest.raises(sandlot.InvalidError, match="colour"):
                [one async for one in client.list_trajectories("colour=red")]
            await made[1].bash("echo kept")
            await made[1].submit()
            lines = [line async for line in client.record(made[1].id)]
            assert [line["type"] for line in lines] == ["created", "step", "result", "grading", "submission", "grade"]
            await client.release([one.id for one in made])
            with pytest.raises(sandlot.NotFoundError):
                [line async for line in client.record(NOBODY)]
            with pytest.raises(sandlot.NotFoundError):
                await client.get_trajectory("../../etc/passwd")

    asyncio.run(play())
