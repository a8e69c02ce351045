"""The calls of both services, over trajectories in memory."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, TypeVar

from .._gen import grade_pb2, sandbox_service_pb2, trajectory_pb2
from .._gen import rollout_service_pb2 as pb
from .._wire import word
from ..errors import EndedError, InvalidError, NotFoundError, UnsupportedError
from .places import Places
from .shell import Command
from .tasks import TOOLS, FakeTask
from .text import FORMATS
from .trajectory import FakeTrajectory

DEFAULTS: dict[str, int] = dict(max_steps=100, max_turns=100, wall_ms=3_600_000, command_ms=120_000, no_output_ms=0)
DEFAULTS |= dict(output_bytes=16_384, memory_mib=2048, cpu_milli=1000, pids=512, disk_mib=4096, grade_ms=1_800_000)
LEAST = {"memory_mib": 16, "cpu_milli": 50, "pids": 16}
MOST = dict(max_steps=10**6, max_turns=10**6, wall_ms=86_400_000, command_ms=21_600_000, no_output_ms=21_600_000)
MOST |= dict(
    output_bytes=1 << 20, memory_mib=65_536, cpu_milli=64_000, pids=32_768, disk_mib=262_144, grade_ms=21_600_000
)
LEASE_MS = 900_000
Event = TypeVar("Event", pb.ExecuteEvent, sandbox_service_pb2.ExecEvent)
_WORDS = {
    "state": lambda one: word(trajectory_pb2.State, one.state),
    "ending": lambda one: word(trajectory_pb2.Ending, one.ending) if one.ending else "",
    "task_id": lambda one: one.task.id,
    "attempt_id": lambda one: one.request.attempt_id,
    "pool": lambda one: one.request.pool or "default",
    "group": lambda one: one.request.group.id,
}


class FakeService:
    """A method for each rpc, by its name."""

    def __init__(
        self, tasks: Iterable[FakeTask], places: Places, commands: Mapping[str, Command], sandbox_service: bool
    ) -> None:
        self.tasks = {task.id: task for task in tasks}
        self.places = places
        self.commands = commands
        self.sandbox_service = sandbox_service
        self.instance = secrets.token_hex(4)
        self.trajectories: dict[str, FakeTrajectory] = {}
        self._attempts: dict[str, tuple[bytes, asyncio.Task[FakeTrajectory], pb.CreateRequest]] = {}

    async def sweep(self) -> None:
        """Ends what nobody has asked for in its lease. For ever."""
        while True:
            await asyncio.sleep(0.05)
            for one in self.trajectories.values():
                if one.state != trajectory_pb2.STATE_ENDED and one.expired():
                    await one.end(trajectory_pb2.ENDING_LEASE)

    async def GetServerInfo(
        self, request: pb.GetServerInfoRequest, remaining: float | None
    ) -> pb.GetServerInfoResponse:
        pools = {
            name: pb.PoolStatus(slots=slots, used=self.places.used[name], queued=self.places.queued(name))
            for name, (slots, _) in self.places.pools.items()
        }
        return pb.GetServerInfoResponse(
            version="fake",
            instance=self.instance,
            backend="fake",
            backends=[pb.ServerBackend(name="default", type="fake")],
            default_limits=_limits(trajectory_pb2.Limits()),
            pools=pools,
            lease_ms=LEASE_MS,
            tasks=len(self.tasks),
            sandbox_service=self.sandbox_service,
            formats=FORMATS,
        )

    async def ListTasks(self, request: pb.ListTasksRequest, remaining: float | None) -> pb.ListTasksResponse:
        wanted = [part.removeprefix("id=") for part in request.filter.split() if part.startswith("id=")]
        found = [task.wire() for task in self.tasks.values() if not wanted or task.id in wanted]
        for task in found:
            task.ClearField("messages")
            task.ClearField("tools")
        return pb.ListTasksResponse(tasks=found)

    async def GetTask(self, request: pb.GetTaskRequest, remaining: float | None) -> pb.Task:
        return self._task(request.task_id).wire()

    async def Prepare(self, request: pb.PrepareRequest, remaining: float | None) -> AsyncIterator[pb.PrepareEvent]:
        for name in request.task_ids:
            self._task(name)
            yield pb.PrepareEvent(task_id=name, stage="ready", environment_digest="fake", done=True)

    async def Create(self, request: pb.CreateRequest, remaining: float | None) -> trajectory_pb2.Trajectory:
        _check_id(request.attempt_id, "attempt_id")
        rest = pb.CreateRequest.FromString(request.SerializeToString())
        rest.attempt_id = ""
        digest = rest.SerializeToString(deterministic=True)
        known = self._attempts.get(request.attempt_id)
        if known is None:
            order = self._order(request)
            work = asyncio.ensure_future(self._make(request, *order))
            known = self._attempts[request.attempt_id] = (digest, work, request)
            work.add_done_callback(lambda done: self._made(request.attempt_id, done))
        if known[0] != digest:
            text = f"attempt_id {request.attempt_id!r} was used before for another request; repeat all of it"
            raise InvalidError(text, field="attempt_id")
        try:
            made = await asyncio.shield(known[1])
        except asyncio.CancelledError:
            if known[1].cancelled():
                raise EndedError(f"attempt {request.attempt_id!r} was released while it waited") from None
            raise
        return made.wire()

    async def Execute(self, request: pb.ExecuteRequest, remaining: float | None) -> trajectory_pb2.Result:
        _check_id(request.call_id, "call_id")
        return await self._live(request.trajectory_id).execute(request, remaining)

    async def ExecuteStream(
        self, request: pb.ExecuteRequest, remaining: float | None
    ) -> AsyncIterator[pb.ExecuteEvent]:
        work = asyncio.ensure_future(self.Execute(request, remaining))
        try:
            found = self.trajectories.get(request.trajectory_id)
            if found is not None:
                live = found.output(f"c:{request.call_id}")
                async for offset, stream, data in live.follow(work, request.from_offset):
                    yield _out(pb.ExecuteEvent(offset=offset), stream, data)
            result = await work
        finally:
            work.cancel()
        yield pb.ExecuteEvent(offset=result.output_bytes, result=result)

    async def Step(self, request: pb.StepRequest, remaining: float | None) -> trajectory_pb2.Turn:
        _check_id(request.call_id, "call_id")
        return await self._live(request.trajectory_id).step(request, remaining)

    async def Interrupt(self, request: pb.InterruptRequest, remaining: float | None) -> trajectory_pb2.Trajectory:
        found = self._live(request.trajectory_id)
        await found.interrupt(request.call_id)
        return found.wire(full=False)

    async def Grade(self, request: pb.GradeRequest, remaining: float | None) -> grade_pb2.Grade:
        if request.WhichOneof("subject") == "submission":
            return await self._patch(request.submission)
        return await self._find(request.trajectory_id).grade(request)

    async def Release(self, request: pb.ReleaseRequest, remaining: float | None) -> pb.ReleaseResponse:
        def meant(made: pb.CreateRequest) -> bool:
            return made.attempt_id in request.attempt_ids or _carries(made.labels, request.labels)

        waiting = [work for _, work, made in self._attempts.values() if not work.done() and meant(made)]
        for work in waiting:
            work.cancel()
        ids = list(
            dict.fromkeys(
                [*request.trajectory_ids, *(one.id for one in self.trajectories.values() if meant(one.request))]
            )
        )
        found = [self.trajectories[name] for name in ids if name in self.trajectories]
        await asyncio.gather(*(one.end(trajectory_pb2.ENDING_RELEASED) for one in found))
        unknown = [name for name in request.trajectory_ids if name not in self.trajectories]
        return pb.ReleaseResponse(
            trajectories=[one.wire(full=False) for one in found], unknown=unknown, cancelled_creates=len(waiting)
        )

    async def Heartbeat(self, request: pb.HeartbeatRequest, remaining: float | None) -> pb.HeartbeatResponse:
        answer = pb.HeartbeatResponse()
        for name in request.trajectory_ids:
            found = self.trajectories.get(name)
            if found is None or found.state == trajectory_pb2.STATE_ENDED:
                answer.gone.append(name)
                continue
            found.renew(request.lease_ms)
            answer.alive.add(trajectory_id=name, lease_until=found.wire(False).lease_until, state=found.state)
        return answer

    async def GetTrajectory(
        self, request: pb.GetTrajectoryRequest, remaining: float | None
    ) -> trajectory_pb2.Trajectory:
        found = self._find(request.trajectory_id)
        found.renew()
        return found.wire()

    async def ListTrajectories(
        self, request: pb.ListTrajectoriesRequest, remaining: float | None
    ) -> pb.ListTrajectoriesResponse:
        holds = [_condition(part) for part in request.filter.split()]
        newest = reversed(self.trajectories.values())
        found = [one for one in newest if all(each(one) for each in holds)]
        ids = [one.id for one in found]
        if request.page_token and request.page_token not in ids:
            raise InvalidError("page_token: expected the next_page_token of the answer before", field="page_token")
        at = ids.index(request.page_token) + 1 if request.page_token else 0
        size = request.page_size or 100
        page = found[at : at + size]
        token = page[-1].id if len(found) > at + size else ""
        return pb.ListTrajectoriesResponse(trajectories=[one.wire(full=False) for one in page], next_page_token=token)

    async def GetRecord(self, request: pb.GetRecordRequest, remaining: float | None) -> AsyncIterator[pb.RecordLine]:
        for index, line in enumerate(list(self._find(request.trajectory_id).lines)):
            yield pb.RecordLine(index=index, json=json.dumps(line))

    async def Exec(
        self, request: sandbox_service_pb2.ExecRequest, remaining: float | None
    ) -> AsyncIterator[sandbox_service_pb2.ExecEvent]:
        _check_id(request.call_id, "call_id")
        if not request.argv:
            raise InvalidError("argv: expected a program and its arguments, got nothing", field="argv")
        found = self._harness(request.trajectory_id)
        work = asyncio.ensure_future(found.exec(request))
        try:
            live = found.output(f"x:{request.call_id}")
            async for offset, stream, data in live.follow(work, request.from_offset):
                yield _out(sandbox_service_pb2.ExecEvent(offset=offset), stream, data)
            result = await work
        finally:
            work.cancel()  # the waiting, not the program
        yield sandbox_service_pb2.ExecEvent(offset=result.output_bytes, result=result)

    async def ReadFile(
        self, request: sandbox_service_pb2.ReadFileRequest, remaining: float | None
    ) -> AsyncIterator[sandbox_service_pb2.FileChunk]:
        found = self._harness(request.trajectory_id)
        _check_path(request.path, "path")
        found.refuse_inactive()
        found.renew()
        path = found.shell.at(request.path)
        data = found.shell.files.get(path)
        if data is not None:
            end = request.offset + request.max_bytes if request.max_bytes else None
            part = data[request.offset : end]
            kind = sandbox_service_pb2.FILE_TYPE_FILE
            yield sandbox_service_pb2.FileChunk(type=kind, size_bytes=len(data), offset=request.offset, data=part)
        elif found.shell.is_folder(path):
            kind = sandbox_service_pb2.FILE_TYPE_DIRECTORY
            yield sandbox_service_pb2.FileChunk(type=kind, data=found.shell.listing(path).encode())
        else:
            yield sandbox_service_pb2.FileChunk(type=sandbox_service_pb2.FILE_TYPE_MISSING)

    async def WriteFile(
        self, chunks: AsyncIterator[sandbox_service_pb2.FileChunk], remaining: float | None
    ) -> sandbox_service_pb2.WriteFileResponse:
        place: sandbox_service_pb2.FileChunk | None = None
        data = b""
        async for chunk in chunks:
            place = place or chunk
            data += chunk.data
        if place is None:
            raise InvalidError("trajectory_id: expected a first chunk that says where to write", field="trajectory_id")
        _check_id(place.call_id, "call_id")
        _check_path(place.path, "path")
        return await self._harness(place.trajectory_id).write(place, data)

    def wire_of(self, name: str) -> trajectory_pb2.Trajectory | None:
        found = self.trajectories.get(name)
        return found.wire(full=False) if found else None

    def _order(self, request: pb.CreateRequest) -> tuple[FakeTask, trajectory_pb2.Limits]:
        if request.HasField("sandbox"):
            self._refuse_harness()
            if request.tools:
                raise InvalidError(f"tools: expected none with a bare sandbox, got {len(request.tools)}", field="tools")
            if request.sandbox.image:
                raise UnsupportedError("sandbox.image: the fake makes no sandboxes from images", field="sandbox.image")
            _check_id(request.sandbox.task_id, "sandbox.task_id")
        _check_labels(request.labels)
        limits = _limits(request.limits)
        for tool in request.tools:
            if tool not in TOOLS:
                raise InvalidError(f"expected tools among {', '.join(TOOLS)}, got {tool!r}", field="tools")
        if not request.HasField("sandbox"):
            _check_id(request.task_id, "task_id")
        return self._task(request.sandbox.task_id or request.task_id), limits

    async def _make(self, request: pb.CreateRequest, task: FakeTask, limits: trajectory_pb2.Limits) -> FakeTrajectory:
        pool = request.pool or "default"
        await self.places.take(pool, request.group.id, request.group.size)
        kept = pb.CreateRequest.FromString(request.SerializeToString())
        kept.lease_ms = kept.lease_ms or LEASE_MS
        made = FakeTrajectory(f"sandlot-{self.instance}-{uuid.uuid4().hex}", kept, task, limits)
        made.shell.commands = self.commands
        made.gone = _once(lambda: self.places.give_back(pool))
        self.trajectories[made.id] = made
        return made

    def _made(self, attempt_id: str, work: asyncio.Task[FakeTrajectory]) -> None:
        if work.cancelled() or work.exception() is not None:
            self._attempts.pop(attempt_id, None)

    async def _patch(self, submission: pb.Submission) -> grade_pb2.Grade:
        task = self._task(submission.task_id)
        if submission.grade_ms > MOST["grade_ms"]:
            text = f"submission.grade_ms: expected at most {MOST['grade_ms']}, got {submission.grade_ms}"
            raise InvalidError(text, field="submission.grade_ms", knob="limits.most.grade_ms")
        tree = task.tree()
        if submission.patch:
            tree["/testbed/.patch"] = submission.patch  # the fake applies none: `solves` finds it here
        return await task.judge(tree)

    def _task(self, name: str) -> FakeTask:
        if name in self.tasks:
            return self.tasks[name]
        raise NotFoundError(f"there is no task {name!r:.100}", field="task_id")

    def _find(self, name: str) -> FakeTrajectory:
        if name in self.trajectories:
            return self.trajectories[name]
        raise NotFoundError(f"expected the id of a trajectory, got {name!r:.100}", field="trajectory_id")

    def _live(self, name: str) -> FakeTrajectory:
        found = self._find(name)
        found.refuse_ended()
        return found

    def _harness(self, name: str) -> FakeTrajectory:
        self._refuse_harness()
        return self._live(name)

    def _refuse_harness(self) -> None:
        if not self.sandbox_service:
            knob = "sandbox_service.enabled"
            raise UnsupportedError(f"this server offers no SandboxService ({knob})", knob=knob)


def _out(event: Event, stream: str, data: bytes) -> Event:
    setattr(event, stream, data)
    return event


def _once(work: Callable[[], None]) -> Callable[[], None]:
    left = [work]
    return lambda: left.pop()() if left else None


def _limits(asked: trajectory_pb2.Limits) -> trajectory_pb2.Limits:
    kept = ("memory_mib", "cpu_milli", "pids", "disk_mib")
    limits = trajectory_pb2.Limits(enforced=dict.fromkeys(kept, trajectory_pb2.ENFORCEMENT_NONE))
    for name in DEFAULTS:
        value = getattr(asked, name) or DEFAULTS[name]
        if not LEAST.get(name, 0) <= value <= MOST[name]:
            text = f"limits.{name}: expected {LEAST.get(name, 0)} to {MOST[name]} (limits.most.{name}), got {value}"
            raise InvalidError(text, field=f"limits.{name}", knob=f"limits.most.{name}")
        setattr(limits, name, value)
    return limits


def _check_id(value: str, name: str) -> None:
    if not 1 <= len(value) <= 200:
        raise InvalidError(f"{name}: expected 1 to 200 characters, got {len(value)}", field=name)


def _check_path(path: str, name: str) -> None:
    if not path.startswith("/"):
        raise InvalidError(f"{name}: expected an absolute path, got {path!r:.200}", field=name)


def _check_labels(labels: Mapping[str, str]) -> None:
    if len(labels) > 32:
        raise InvalidError(f"labels: expected at most 32 of them, got {len(labels)}", field="labels")
    if any(len(text.encode()) > 256 for pair in labels.items() for text in pair):
        raise InvalidError("labels: expected at most 256 bytes each, got more", field="labels")


def _carries(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return bool(wanted) and all(labels.get(name) == value for name, value in wanted.items())


def _condition(part: str) -> Callable[[FakeTrajectory], bool]:
    found = re.fullmatch(r"([^=]+)=(.*)", part, re.DOTALL)
    key, value = (found[1], found[2]) if found else ("", "")
    if key.startswith("label."):
        return lambda one: one.request.labels.get(key.removeprefix("label.")) == value
    if key not in _WORDS:
        raise InvalidError(
            f"filter: expected conditions key=value with a key of {', '.join(_WORDS)}, got {part!r:.200}",
            field="filter",
        )
    of: Any = _WORDS[key]
    return lambda one: of(one) == value
