"""Repeated calls, fences, budgets, interrupts."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
import sandlot
from bundled import Answers, applied
from raw import TASK, bash, create, refused, release, stub, turn, word
from sandlot._gen import grade_pb2, trajectory_pb2
from sandlot._gen import rollout_service_pb2 as pb
from server import Server, Serving


def play(server: Serving, scene: Any, **facts: Any) -> None:
    """Runs a scene with a connection and a fresh trajectory, which is released."""

    async def run() -> None:
        async with stub(server) as service:
            name = (await create(service, f"calls {random.random()}", **facts)).id
            try:
                await scene(service, name)
            finally:
                await release(service, name)

    asyncio.run(run())


def test_a_repeated_id_is_answered_again_and_with_other_arguments_it_is_invalid(anyone: Serving) -> None:
    async def scene(service: Any, name: str) -> None:
        once = await service.Execute(bash(name, "a", "echo x >> /tmp/n; wc -l < /tmp/n"))
        again = await service.Execute(bash(name, "a", "echo x >> /tmp/n; wc -l < /tmp/n"))
        assert (once.replayed, again.replayed) == (False, True)
        assert (once.text, once.step) == (again.text, again.step) == ("1\n", 1)
        for other in (bash(name, "a", "true"), bash(name, "a", "echo x >> /tmp/n; wc -l < /tmp/n", timeout_ms=5)):
            assert "call_id" in str(await refused_as_invalid(service.Execute(other)))
        assert "call_id" in str(await refused_as_invalid(service.Step(turn(name, "a", "true"))))
        first = await service.Step(turn(name, "t", "echo y >> /tmp/n; wc -l < /tmp/n"))
        second = await service.Step(turn(name, "t", "echo y >> /tmp/n; wc -l < /tmp/n"))
        assert (first.replayed, second.replayed) == (False, True)
        assert first.observations == second.observations and first.observations[0].content == "2\n"
        await refused_as_invalid(service.Step(turn(name, "t", "true")))
        await refused_as_invalid(service.Execute(bash(name, "t", "true")))
        looks = [await service.Grade(pb.GradeRequest(trajectory_id=name, call_id=call)) for call in ("g", "g", "h", "")]
        assert looks[0].id == looks[1].id and len({look.id for look in looks}) == 3
        assert (await service.GetTrajectory(pb.GetTrajectoryRequest(trajectory_id=name))).last_step == 2

    play(anyone, scene)


async def refused_as_invalid(call: Any) -> sandlot.SandlotError:
    error = await refused(call)
    assert error.fault == "invalid", error
    return error


def test_the_same_attempt_is_the_same_trajectory_also_at_the_same_time_and_after_its_end(anyone: Serving) -> None:
    async def run() -> None:
        async with stub(anyone) as service:
            twins = await asyncio.gather(*(create(service, "twin", labels={"a": "1", "b": "2"}) for _ in range(5)))
            assert len({one.id for one in twins}) == 1
            for other in ({"labels": {"a": "1"}}, {"labels": {"a": "1", "b": "2"}, "lease_ms": 5}, {"task_id": "js-glob-match", "labels": {"a": "1", "b": "2"}}):
                assert "attempt_id" in str(await refused_as_invalid(create(service, "twin", **other)))
            await release(service, twins[0].id)
            late = await create(service, "twin", labels={"a": "1", "b": "2"})
            assert (late.id, word(trajectory_pb2.State, late.state)) == (twins[0].id, "ENDED")

    asyncio.run(run())


def test_a_call_whose_client_went_away_is_running_when_it_comes_back(anyone: Serving) -> None:
    async def scene(service: Any, name: str) -> None:
        request = bash(name, "long", "sleep 1; echo x >> /tmp/n; wc -l < /tmp/n")
        with pytest.raises(Exception, match="DEADLINE_EXCEEDED"):
            await service.Execute(request, timeout=0.3)
        assert [result.text for result in await asyncio.gather(*(service.Execute(request) for _ in range(3)))] == ["1\n"] * 3

    play(anyone, scene)


def test_parallel_calls_with_fences_run_in_their_order_however_they_arrive(anyone: Serving) -> None:
    async def scene(service: Any, name: str) -> None:
        numbers = [2, 4, 3, 1]
        results = await asyncio.gather(*(service.Execute(bash(name, f"c{n}", f"echo {n} >> /tmp/order; sleep 0.05", step=n)) for n in numbers))
        assert [result.step for result in results] == numbers
        assert (await service.Execute(bash(name, "look", "cat /tmp/order"))).text == "1\n2\n3\n4\n"
        late = await refused(service.Execute(bash(name, "late", "true", step=2)))
        assert late.fault == "out_of_order" and "6" in str(late)
        early = await refused(service.Execute(bash(name, "early", "true", step=9), timeout=5))
        assert early.fault == "out_of_order", "before the deadline of its caller"
        assert (await service.Execute(bash(name, "c2", "echo 2 >> /tmp/order; sleep 0.05", step=2))).replayed
        turns = await asyncio.gather(*(service.Step(turn(name, f"t{n}", f"echo turn {n} >> /tmp/order", turn=n)) for n in (3, 1, 2)))
        assert [one.turn for one in turns] == [3, 1, 2]
        assert (await service.Execute(bash(name, "look2", "tail -3 /tmp/order"))).text == "turn 1\nturn 2\nturn 3\n"
        assert (await refused(service.Step(turn(name, "tx", "true", turn=1)))).fault == "out_of_order"

    play(anyone, scene)


def test_past_the_steps_calls_are_answered_and_the_tree_is_graded_as_it_stands(shared: Server) -> None:
    async def scene(service: Any, name: str) -> None:
        last = [await service.Execute(bash(name, f"c{n}", applied(Answers.of(TASK).gold) if n == 0 else "true")) for n in range(2)]
        assert [(one.truncated, one.left.steps) for one in last] == [(False, 1), (True, 0)]
        for request in (bash(name, "over", "echo x > /tmp/x"), bash(name, "over2", "true", step=3)):
            over = await service.Execute(request)
            assert (word(trajectory_pb2.ResultKind, over.kind), over.truncated, over.terminated, over.HasField("grade")) == ("OUT_OF_BUDGET", True, False, False)
        tool = await service.Execute(pb.ExecuteRequest(trajectory_id=name, call_id="late submit", tool="submit_solution", arguments_json="{}"))
        assert word(trajectory_pb2.ResultKind, tool.kind) == "OUT_OF_BUDGET"
        in_turn = await service.Step(turn(name, "t", "echo x > /tmp/x", "true"))
        assert in_turn.truncated and [word(trajectory_pb2.ResultKind, one.kind) for one in in_turn.results] == ["OUT_OF_BUDGET"] * 2
        assert (await service.Execute(bash(name, "c0", applied(Answers.of(TASK).gold)))).replayed, "what was answered is still answered"
        grade = await service.Grade(pb.GradeRequest(trajectory_id=name, finalize=True))
        assert (grade.reward, grade.submitted, word(grade_pb2.Outcome, grade.outcome)) == (1.0, False, "RESOLVED")

    play(shared, scene, limits=trajectory_pb2.Limits(max_steps=2))


def test_past_the_turns_a_turn_runs_nothing(anyone: Serving) -> None:
    async def scene(service: Any, name: str) -> None:
        assert (await service.Step(turn(name, "1", "true"))).truncated
        over = await service.Step(turn(name, "2", "true"))
        assert (over.truncated, over.turn, len(over.results), len(over.observations), over.left.turns) == (True, 1, 0, 1, 0)
        assert (await service.Execute(bash(name, "alone", "true"))).step == 2

    play(anyone, scene, limits=trajectory_pb2.Limits(max_turns=1))


def test_past_the_wall_time_nothing_runs_and_a_running_command_ends_with_it(anyone: Serving) -> None:
    async def scene(service: Any, name: str) -> None:
        cut = await service.Execute(bash(name, "a", "echo begun; sleep 100"))
        assert word(trajectory_pb2.ResultKind, cut.kind) == "TIMED_OUT" and cut.text.startswith("begun\n")
        over = await service.Execute(bash(name, "b", "true"))
        assert (word(trajectory_pb2.ResultKind, over.kind), over.truncated, over.left.wall_ms) == ("OUT_OF_BUDGET", True, 0)
        grade = await service.Grade(pb.GradeRequest(trajectory_id=name, finalize=True))
        assert (grade.submitted, grade.reward, word(grade_pb2.Outcome, grade.outcome)) == (False, 0.0, "EMPTY_PATCH")

    play(anyone, scene, limits=trajectory_pb2.Limits(wall_ms=5000))


def test_a_result_says_what_time_limit_its_command_had(anyone: Serving) -> None:
    async def scene(service: Any, name: str) -> None:
        async def limit_of(call_id: str, asked: int) -> int:
            return (await service.Execute(bash(name, call_id, "true", timeout_ms=asked))).timeout_ms

        assert await limit_of("own", 0) == 7000, "nothing asked for is the trajectory's"
        assert await limit_of("less", 3000) == 3000
        assert await limit_of("more", 8000) == 7000, "more than the trajectory has is what it has"
        assert await limit_of("more", 8000) == 7000, "also when the answer is given again"
        done = await service.Execute(pb.ExecuteRequest(trajectory_id=name, call_id="end", tool="submit_solution"))
        assert done.timeout_ms == 0
        assert await limit_of("late", 8000) == 0

    play(anyone, scene, limits=trajectory_pb2.Limits(command_ms=7000))


def test_what_is_left_of_the_wall_time_bounds_a_command(anyone: Serving) -> None:
    async def scene(service: Any, name: str) -> None:
        result = await service.Execute(bash(name, "a", "true"))
        assert 1000 <= result.timeout_ms <= 100_000

    play(anyone, scene, limits=trajectory_pb2.Limits(wall_ms=100_000))


def test_interrupt_ends_the_command_that_was_meant_and_the_trajectory_goes_on(shared: Server) -> None:
    async def scene(service: Any, name: str) -> None:
        running = service.Execute(bash(name, "a", "cd /tmp; (sleep 1000 &) ; echo begun; sleep 1000", step=1))
        queued = service.Execute(bash(name, "b", "pwd; pgrep -c sleep", step=2))
        async with asyncio.timeout(120):
            while (await service.GetTrajectory(pb.GetTrajectoryRequest(trajectory_id=name))).last_step == 0:
                await asyncio.sleep(0.05)
            await service.Interrupt(pb.InterruptRequest(trajectory_id=name, call_id="b"))
            while not running.done():
                await service.Interrupt(pb.InterruptRequest(trajectory_id=name, call_id="a"))
                await asyncio.sleep(0.05)
        result = await running
        assert word(trajectory_pb2.ResultKind, result.kind) == "INTERRUPTED"
        after = await queued
        assert (word(trajectory_pb2.ResultKind, after.kind), after.text.splitlines()[:2]) == ("OK", ["/testbed", "0"])

    play(shared, scene)


def test_limits_are_echoed_and_more_than_the_server_allows_is_invalid(anyone: Serving) -> None:
    async def run() -> None:
        async with stub(anyone) as service:
            for facts, field in [
                ({"limits": trajectory_pb2.Limits(memory_mib=10_000_000)}, "limits.memory_mib"),
                ({"limits": trajectory_pb2.Limits(memory_mib=1)}, "limits.memory_mib"),
                ({"limits": trajectory_pb2.Limits(pids=1)}, "limits.pids"),
                ({"tools": ["no_such_tool"]}, "tools"),
                ({"pool": "nowhere"}, "pool"),
                ({"labels": {str(n): "x" for n in range(33)}}, "labels"),
                ({"labels": {"a": "x" * 257}}, "labels"),
            ]:
                error = await refused_as_invalid(create(service, f"bad {field}", **facts))
                assert error.field == field
            longer = pb.Submission(task_id=TASK, grade_ms=2**32 - 1)
            error = await refused_as_invalid(service.Grade(pb.GradeRequest(submission=longer)))
            assert (error.field, error.knob) == ("submission.grade_ms", "limits.most.grade_ms")
            assert (await refused_as_invalid(create(service, ""))).field == "attempt_id"
            assert (await refused_as_invalid(create(service, "x" * 201))).field == "attempt_id"
            assert (await refused(create(service, "unknown", task_id="no-such-task"))).fault == "not_found"

    asyncio.run(run())
