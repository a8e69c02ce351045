"""A cut connection, a restarted or a crowded server is only a pause."""

import asyncio
import time

import pytest
from fake import Fake, bare, fault, trajectory, until

import sandlot
from sandlot._gen import rollout_service_pb2 as pb
from sandlot._gen import trajectory_pb2


@pytest.mark.parametrize(
    "cut",
    [
        bare("UNAVAILABLE", "Socket closed"),
        bare("UNKNOWN", "Stream removed"),
        bare("INTERNAL", "Received RST_STREAM with error code 2"),
        fault("draining", "UNAVAILABLE"),
    ],
    ids=lambda cut: cut.text,
)
async def test_a_cut_call_is_made_again_with_the_same_call_id(fake: Fake, cut):
    fake.on("Execute", cut, cut, trajectory_pb2.Result(step=1, text="ok", kind=1))
    async with sandlot.connect(fake.address) as client, client.trajectory("task") as t:
        assert (await t.bash("ls")).text == "ok"
    calls = fake.requests["Execute"]
    assert len(calls) == 3
    assert len({call.call_id for call in calls}) == 1


async def test_a_server_that_is_killed_and_restarted_in_the_middle_of_a_call_is_a_pause(fake: Fake):
    async with sandlot.connect(fake.address) as client, client.trajectory("task") as t:
        fake.on("Execute", lambda _: asyncio.Event().wait(), trajectory_pb2.Result(step=1, text="again", kind=1))
        call = asyncio.create_task(t.bash("sleep 1"))
        await until(lambda: fake.requests["Execute"])
        await fake.stop()
        await asyncio.sleep(0.3)  # the time for which it is down
        restarted = time.monotonic()
        await fake.start()
        assert (await call).text == "again"
        assert time.monotonic() - restarted < 60
    assert len({call.call_id for call in fake.requests["Execute"]}) == 1


async def test_patience_ends(fake: Fake):
    async with sandlot.connect(fake.address, patience=0.5) as client, client.trajectory("task") as t:
        await fake.stop()
        began = time.monotonic()
        with pytest.raises(sandlot.ConnectionLost, match=r"Execute: no answer from .* for 0\.5 s"):
            await t.bash("ls")
        assert time.monotonic() - began < 60


async def test_a_server_that_is_not_there_yet_is_waited_for(fake: Fake):
    await fake.stop()

    async def late() -> None:
        await asyncio.sleep(0.3)
        await fake.start()

    starting = asyncio.create_task(late())
    async with sandlot.connect(fake.address, patience=120) as client:
        assert (await client.info()).tasks == 2
    await starting


async def test_create_waits_as_a_busy_server_says(fake: Fake):
    busy = fault("busy", "RESOURCE_EXHAUSTED", retry_ms=200)
    fake.on("Create", busy, busy, fault("draining", "UNAVAILABLE"), lambda call: trajectory(call.attempt_id))
    began = time.monotonic()
    async with sandlot.connect(fake.address) as client, client.trajectory("task", attempt_id="a1") as t:
        assert t.id
    assert time.monotonic() - began >= 0.4
    assert [call.attempt_id for call in fake.requests["Create"]] == ["a1"] * 4


async def test_create_gives_up_at_its_deadline_and_leaves_the_queue(fake: Fake):
    fake.on("Create", fault("busy", "RESOURCE_EXHAUSTED", retry_ms=100))
    async with sandlot.connect(fake.address, create_deadline=3) as client:
        with pytest.raises(sandlot.BusyError) as caught:
            async with client.trajectory("task", attempt_id="a1"):
                pass
    assert caught.value.retry_after == 0.1
    assert list(fake.requests["Release"][0].attempt_ids) == ["a1"]


async def test_a_refused_create_releases_nothing(fake: Fake):
    fake.on("Create", fault("invalid", "INVALID_ARGUMENT"))
    async with sandlot.connect(fake.address) as client:
        with pytest.raises(sandlot.InvalidError):
            async with client.trajectory("task", attempt_id="someone-elses"):
                pass
    assert not fake.requests["Release"]


async def test_a_create_that_is_cancelled_while_it_waits_is_taken_back(fake: Fake):
    fake.on("Create", lambda _: asyncio.Event().wait())
    async with sandlot.connect(fake.address) as client:
        waiting = asyncio.create_task(client.trajectory("task", attempt_id="a1").open())
        await until(lambda: fake.requests["Create"])
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert list(fake.requests["Release"][0].attempt_ids) == ["a1"]


async def test_a_stream_goes_on_behind_the_last_byte_that_arrived(fake: Fake):
    event = pb.ExecuteEvent
    first = [event(offset=0, stdout=b"one "), event(offset=4, stderr=b"two "), bare("UNAVAILABLE", "Socket closed")]
    rest = [event(offset=8, stdout=b"three"), event(offset=13, result=trajectory_pb2.Result(step=1, kind=1))]
    fake.on("ExecuteStream", first, rest)
    async with sandlot.connect(fake.address) as client, client.trajectory("task") as t:
        events = [event async for event in t.execute_stream("bash", {"command": "x"})]
    assert b"".join(event.data for event in events) == b"one two three"
    assert events[-1].result.kind == "OK"
    assert [call.from_offset for call in fake.requests["ExecuteStream"]] == [0, 8]
    assert len({call.call_id for call in fake.requests["ExecuteStream"]}) == 1


async def test_a_record_is_read_once_over_a_cut(fake: Fake):
    lines = [pb.RecordLine(index=n, json=f'{{"n": {n}}}') for n in range(4)]
    fake.on("GetRecord", [*lines[:2], bare("UNAVAILABLE", "Socket closed")], lines)
    async with sandlot.connect(fake.address) as client:
        assert [line["n"] async for line in client.record("t1")] == [0, 1, 2, 3]
