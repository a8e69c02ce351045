"""What a trajectory sends and gives back, how long it lives, and how it ends."""

import asyncio
import json
import pickle
import queue
import threading
import time

import pytest
from fake import Fake, bare, fault, until

import sandlot
from sandlot._gen import grade_pb2, trajectory_pb2
from sandlot._gen import rollout_service_pb2 as pb


async def test_create_sends_what_was_asked(fake: Fake):
    asked = dict(pool="val", labels={"run": 7}, limits={"max_steps": 5}, lease_ms=60_000, tools=["bash"])
    async with sandlot.connect(fake.address, token="secret") as client:
        async with client.trajectory("task", group=("g", 8), submit_feedback="verdict", **asked) as t:
            assert t.messages == [{"role": "user", "content": "fix it"}]
            assert t.tools == [{"type": "function"}]
            assert t.limits.enforced == {"memory_mib": "HARD"}
        async with client.trajectory("task", group="g"):
            pass
    first, second = fake.requests["Create"]
    assert (first.pool, first.labels["run"], first.limits.max_steps, first.lease_ms) == ("val", "7", 5, 60_000)
    assert (first.group.id, first.group.size, first.submit_feedback, list(first.tools)) == ("g", 8, 2, ["bash"])
    assert (second.group.id, second.group.size) == ("g", 0)
    assert first.attempt_id != second.attempt_id
    assert ("authorization", "Bearer secret") in fake.metadata


async def test_arguments_go_as_json_and_a_string_goes_raw(fake: Fake):
    async with sandlot.connect(fake.address) as client, client.trajectory("task") as t:
        await t.bash("ls", timeout_ms=5, step=3)
        await t.execute("bash", '{"command": "ls"')
        await t.execute("bash", "half a pair: \ud800")
        await t.execute("bash", {"command": "half a pair: \ud800"})
    bash, raw, pair, escaped = fake.requests["Execute"]
    assert (bash.tool, json.loads(bash.arguments_json)) == ("bash", {"command": "ls"})
    assert (bash.timeout_ms, bash.step) == (5, 3)
    assert raw.arguments_json == '{"command": "ls"'
    assert pair.arguments_json == "half a pair: ?"
    assert json.loads(escaped.arguments_json)["command"] == "half a pair: \ud800"


async def test_a_turn_takes_both_forms_of_tool_calls(fake: Fake):
    message = trajectory_pb2.ChatMessage(role="tool", content="out", tool_call_id="c1", name="bash")
    fake.on("Step", trajectory_pb2.Turn(turn=1, observations=[message], terminated=True))
    async with sandlot.connect(fake.address) as client, client.trajectory("task") as t:
        turn = await t.step(
            [
                {"id": "c1", "name": "bash", "arguments": {"command": "ls"}},
                {"id": "c2", "type": "function", "function": {"name": "bash", "arguments": "ls"}},
            ]
        )
    sent = fake.requests["Step"][0].calls.calls
    assert [(call.id, call.name, call.arguments_json) for call in sent] == [
        ("c1", "bash", '{"command": "ls"}'),
        ("c2", "bash", "ls"),
    ]
    assert turn.observations == [{"role": "tool", "content": "out", "tool_call_id": "c1", "name": "bash"}]
    assert (turn.reward, turn.terminated, turn.grade) == (None, True, None)


async def test_a_turn_takes_the_message_of_a_model_as_it_came(fake: Fake):
    fake.on("Step", trajectory_pb2.Turn(turn=1, parse_error="Nothing was run: it cannot be read."))
    async with sandlot.connect(fake.address) as client, client.trajectory("task") as t:
        turn = await t.step("<tool_call>", format="hermes")
    sent = fake.requests["Step"][0]
    assert (sent.WhichOneof("action"), sent.text, sent.format) == ("text", "<tool_call>", "hermes")
    assert turn.parse_error == "Nothing was run: it cannot be read."


@pytest.mark.parametrize(
    "call",
    [
        {"name": 7, "arguments": {}},
        {"id": "c1", "arguments": {"command": "ls"}},
        {"type": "function", "function": {"arguments": "{}"}},
        {"type": "function", "function": "bash"},
        "bash",
        None,
    ],
)
async def test_a_turn_with_something_that_is_no_tool_call_is_refused_before_it_is_sent(fake: Fake, call: object):
    async with sandlot.connect(fake.address) as client, client.trajectory("task") as t:
        with pytest.raises(sandlot.InvalidError, match='expected a tool call with a "name", got') as refused:
            await t.step([call])
    assert refused.value.field == "calls"
    assert fake.requests["Step"] == []


@pytest.mark.parametrize(
    ("limits", "field", "message"),
    [
        ({"memory": 5}, "limits", "expected one of max_steps, .*memory_mib.*, got 'memory'"),
        ({"memory_mib": -1}, "limits.memory_mib", "expected a whole number of 32 bits, got -1"),
        ({"memory_mib": 2**32}, "limits.memory_mib", "got 4294967296"),
        ({"memory_mib": 1.5}, "limits.memory_mib", "got 1.5"),
        ({"wall_ms": "1h"}, "limits.wall_ms", "got '1h'"),
    ],
)
async def test_limits_that_no_server_could_take_are_refused_with_their_names(
    fake: Fake, limits: dict[str, int], field: str, message: str
):
    async with sandlot.connect(fake.address) as client:
        with pytest.raises(sandlot.InvalidError, match=message) as refused:
            client.trajectory("task", limits=limits)
    assert refused.value.field == field
    assert fake.requests["Create"] == []


async def test_a_result_is_plain_data_that_pickles(fake: Fake):
    full = trajectory_pb2.Result(step=2, kind=trajectory_pb2.RESULT_KIND_TIMED_OUT, signal=9, text="é")
    full.timings.command_ms = 12
    full.left.steps = 98
    fake.on("Execute", full, trajectory_pb2.Result(kind=99, exit_code=0))
    async with sandlot.connect(fake.address) as client, client.trajectory("task") as t:
        result = await t.bash("ls")
        assert t.left.steps == 98
        newer = await t.bash("ls")
    assert pickle.loads(pickle.dumps(result)) == result
    assert (result.kind, result.exit_code, result.signal, result.text) == ("TIMED_OUT", None, 9, "é")
    assert (result.timings.command_ms, result.left.steps) == (12, 98)
    assert (newer.kind, newer.exit_code) == ("99", 0)


async def test_a_structural_grade_is_no_reward(fake: Fake):
    """Not even one of a server that sends a number all the same."""
    structural = {"validity": grade_pb2.VALIDITY_STRUCTURAL, "outcome": grade_pb2.OUTCOME_COMPILES}
    fake.on("Grade", grade_pb2.Grade(**structural), grade_pb2.Grade(**structural, reward=1))
    async with sandlot.connect(fake.address) as client, client.trajectory("t") as t:
        grades = [await t.grade(), await t.grade()]
    assert [(grade.reward, grade.validity, grade.outcome) for grade in grades] == [(None, "STRUCTURAL", "COMPILES")] * 2


async def test_a_grade_without_a_reward_is_not_a_zero(fake: Fake):
    infra = grade_pb2.Grade(validity=grade_pb2.VALIDITY_INFRA, outcome=grade_pb2.OUTCOME_NO_VERDICT, reason="disk")
    zero = grade_pb2.Grade(validity=grade_pb2.VALIDITY_VALID, outcome=grade_pb2.OUTCOME_UNRESOLVED, reward=0)
    zero.tests["FAIL_TO_PASS"].failed = 2
    zero.official_resolved = False
    fake.on("Grade", infra, zero)
    async with sandlot.connect(fake.address) as client, client.trajectory("task") as t:
        look = await t.grade()
        final = await t.submit()
        assert t.final_grade == final
    assert (look.reward, look.validity, look.outcome, look.official_resolved) == (None, "INFRA", "NO_VERDICT", None)
    assert (final.reward, final.validity, final.tests["FAIL_TO_PASS"].failed) == (0.0, "VALID", 2)
    assert final.official_resolved is False
    assert [(call.finalize, bool(call.call_id)) for call in fake.requests["Grade"]] == [(False, True), (True, False)]


async def test_leases_are_renewed_at_a_third_for_all_trajectories_in_one_call(fake: Fake):
    fake.on("Heartbeat", bare("UNAVAILABLE"), lambda call: pb.HeartbeatResponse(gone=[call.trajectory_ids[0]]))
    async with sandlot.connect(fake.address) as client:
        began = time.monotonic()
        async with client.trajectory("task", lease_ms=600_000) as long, client.trajectory("task", lease_ms=600) as short:
            await until(lambda: len(fake.requests["Heartbeat"]) >= 3)
            assert 0.4 < time.monotonic() - began < 60, "as the shorter of both leases asks, and no more often"
        beats = [set(call.trajectory_ids) for call in fake.requests["Heartbeat"][:3]]
        assert beats == [{long.id, short.id}, {long.id, short.id}, {short.id}]


async def test_a_body_that_raises_releases_and_its_error_comes_out(fake: Fake):
    fake.on("Release", fault("sandbox", "ABORTED"))
    async with sandlot.connect(fake.address) as client:
        with pytest.raises(ZeroDivisionError):
            async with client.trajectory("task") as t:
                raise ZeroDivisionError
    assert list(fake.requests["Release"][0].trajectory_ids) == [t.id]


async def test_a_release_that_fails_does_not_fail_the_rollout(fake: Fake, caplog):
    fake.on("Release", bare("INTERNAL", "internal error"))
    async with sandlot.connect(fake.address) as client:
        async with client.trajectory("task"):
            pass
    assert "clean-up failed" in caplog.text


async def test_a_cancelled_task_releases(fake: Fake):
    opened = asyncio.Event()

    async def rollout(client: sandlot.Client) -> None:
        async with client.trajectory("task"):
            opened.set()
            await asyncio.Event().wait()

    async with sandlot.connect(fake.address) as client:
        task = asyncio.create_task(rollout(client))
        await opened.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(fake.requests["Release"]) == 1


async def test_a_cancellation_does_not_cut_a_release_short(fake: Fake):
    answered = []

    async def slow(request):
        await asyncio.sleep(0.3)
        answered.append(request)
        return pb.ReleaseResponse()

    async def rollout(client: sandlot.Client) -> None:
        async with client.trajectory("task"):
            pass

    fake.on("Release", slow)
    async with sandlot.connect(fake.address) as client:
        task = asyncio.create_task(rollout(client))
        await until(lambda: fake.requests["Release"])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(answered) == 1


async def test_release_is_sent_once(fake: Fake):
    async with sandlot.connect(fake.address) as client:
        async with client.trajectory("task") as t:
            await t.release()
            await t.release()
    assert len(fake.requests["Release"]) == 1


async def test_lists_are_read_page_by_page(fake: Fake):
    page = pb.ListTasksResponse(tasks=[pb.Task(id="a", playable=True)], next_page_token="2")
    fake.on("ListTasks", page, pb.ListTasksResponse(tasks=[pb.Task(id="b")]))
    async with sandlot.connect(fake.address) as client:
        assert [task.id async for task in client.tasks("playable=true")] == ["a", "b"]
    assert [(call.filter, call.page_token) for call in fake.requests["ListTasks"]] == [
        ("playable=true", ""),
        ("playable=true", "2"),
    ]


async def test_the_rest_of_the_calls_bring_plain_data(fake: Fake):
    fake.on("Prepare", [pb.PrepareEvent(task_id="a", stage="ready", done=True)])
    fake.on("GetTrajectory", trajectory_pb2.Trajectory(id="t1", state=trajectory_pb2.STATE_SUBMITTED))
    fake.on("ListTrajectories", pb.ListTrajectoriesResponse(trajectories=[trajectory_pb2.Trajectory(id="t1")]))
    fake.on("GetTask", pb.Task(id="a", workdir="/testbed"))
    fake.on("Interrupt", trajectory_pb2.Trajectory(id="t1"))
    async with sandlot.connect(fake.address) as client, client.trajectory("task") as t:
        assert [event.stage async for event in client.prepare(["a"])] == ["ready"]
        assert (await client.get_trajectory("t1")).state == "SUBMITTED"
        assert [one.id async for one in client.list_trajectories("state=ACTIVE")] == ["t1"]
        assert (await client.task("a")).workdir == "/testbed"
        assert (await client.grade_patch("a", b"diff")).reward == 1.0
        assert (await client.release(labels={"run": "7"})).cancelled_creates == 0
        assert (await t.interrupt()).id == "t1"
    assert fake.requests["Grade"][0].submission.patch == b"diff"
    assert fake.requests["Release"][0].labels == {"run": "7"}


async def test_a_client_outside_its_block_or_its_loop_says_so(fake: Fake):
    client = sandlot.connect(fake.address)
    with pytest.raises(RuntimeError, match="async with"):
        await client.info()
    async with client:
        with pytest.raises(RuntimeError, match="one event loop"):
            await asyncio.to_thread(lambda: asyncio.run(client.info()))


def test_a_loop_that_shuts_down_in_the_middle_of_a_release_lets_it_finish():
    answered = []

    async def slow(request):
        await asyncio.sleep(0.2)
        answered.append(request)
        return pb.ReleaseResponse()

    async def rollout(client: sandlot.Client) -> None:
        async with client.trajectory("task"):
            pass

    async def main(address: str, releases: list) -> None:
        client = await sandlot.connect(address).__aenter__()
        keep.append(asyncio.create_task(rollout(client)))
        await until(lambda: releases)

    async def serve(stop: threading.Event) -> None:
        fake = Fake()
        fake.on("Release", slow)
        await fake.start()
        ready.put(fake)
        await asyncio.to_thread(stop.wait)
        await fake.stop()

    keep: list[asyncio.Task] = []
    ready: queue.Queue[Fake] = queue.Queue()
    stop = threading.Event()
    server = threading.Thread(target=lambda: asyncio.run(serve(stop)))
    server.start()
    try:
        fake = ready.get(timeout=60)
        asyncio.run(main(fake.address, fake.requests["Release"]))
    finally:
        stop.set()
        server.join()
    assert answered


async def test_a_client_that_leaves_right_after_a_create_is_not_held_up_by_its_heartbeats(fake: Fake):
    async def leave() -> None:
        async with sandlot.connect(fake.address) as client:
            await client.trajectory("task").open()

    done, _ = await asyncio.wait([asyncio.create_task(leave())], timeout=120)
    assert done
