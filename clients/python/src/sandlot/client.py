"""The connection to a server and everything that is not about one trajectory."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

from ._calls import Calls
from ._gen import rollout_service_pb2 as pb
from ._gen import trajectory_pb2
from ._heartbeats import Heartbeats
from ._tls import Tls
from .bare_sandbox import BareSandbox
from .errors import InvalidError
from .results import Grade, Released, Summary
from .sandbox import Sandbox
from .served import PrepareEvent, ServerInfo, Task
from .trajectory import Trajectory

_PREPARE_S = 6 * 3600.0
_GRADE_S = 2 * 3600.0
_RECORD_S = 3600.0


def connect(
    address: str,
    token: str | None = None,
    *,
    tls: Tls | Mapping[str, str] | None = None,
    patience: float = 120.0,
    create_deadline: float = 600.0,
) -> Client:
    """
    A client of the server at "HOST:PORT", to be used as `async with sandlot.connect(...) as client`.

    With "grpcs://HOST:PORT" it speaks TLS, with the files of `tls` or else of `SANDLOT_TLS_CA_FILE` and the like.
    `patience`: how many seconds a server may be out of reach before a call raises `ConnectionLost`.
    `create_deadline`: how many seconds a trajectory waits for a place.
    """
    return Client(address, token, tls=tls, patience=patience, create_deadline=create_deadline)


class Client:
    """Belongs to the process and the event loop that entered it; nothing is opened before that."""

    def __init__(
        self,
        address: str,
        token: str | None = None,
        *,
        tls: Tls | Mapping[str, str] | None = None,
        patience: float = 120.0,
        create_deadline: float = 600.0,
    ) -> None:
        """As `connect`."""
        self.address = address
        self._token = token
        self._tls = tls
        self._patience_s = patience
        self._create_deadline_s = create_deadline
        self._open: tuple[Calls, Heartbeats, ServerInfo] | None = None

    async def __aenter__(self) -> Client:
        calls = Calls(self.address, self._token, self._tls, self._patience_s)
        try:
            info = ServerInfo._from(await calls.unary("GetServerInfo", pb.GetServerInfoRequest()))
        except BaseException:
            await calls.close()
            raise
        self._open = (calls, Heartbeats(calls), info)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            calls, heartbeats, _ = self._open
            self._open = None
            await heartbeats.stop()
            await calls.close()

    async def info(self) -> ServerInfo:
        """What the server is, now."""
        return ServerInfo._from(await self._calls.unary("GetServerInfo", pb.GetServerInfoRequest()))

    async def tasks(self, filter: str = "", *, page_size: int = 0) -> AsyncIterator[Task]:
        """The tasks this server knows, without prompt and tools. `filter`: "repo=a/b playable=true"."""
        request = pb.ListTasksRequest(filter=filter, page_size=page_size)
        while True:
            page = await self._calls.unary("ListTasks", request)
            for task in page.tasks:
                yield Task._from(task)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def task(self, task_id: str) -> Task:
        """One task, with prompt and tools."""
        return Task._from(await self._calls.unary("GetTask", pb.GetTaskRequest(task_id=task_id)))

    async def prepare(self, task_ids: Iterable[str]) -> AsyncIterator[PrepareEvent]:
        """Warms environments and tells the progress."""
        request = pb.PrepareRequest(task_ids=list(task_ids))
        async for event in self._calls.stream("Prepare", lambda: request, deadline_s=_PREPARE_S):
            yield PrepareEvent._from(event)

    def trajectory(
        self,
        task_id: str,
        *,
        pool: str = "",
        group: str | tuple[str, int] | None = None,
        labels: Mapping[str, str] | None = None,
        limits: Mapping[str, int] | None = None,
        attempt_id: str | None = None,
        lease_ms: int = 0,
        submit_feedback: str = "none",
        tools: Sequence[str] = (),
        create_deadline: float | None = None,
    ) -> Trajectory:
        """
        An attempt at a task: `async with client.trajectory(task_id) as t`.

        `group`: a name (nobody is waited for) or (name, size): all of it is admitted together. `limits`: by the names
        of `sandlot.Limits`. `submit_feedback`: "none", "verdict" or "counts". The same `attempt_id` is the same
        trajectory.
        """
        request = pb.CreateRequest(
            task_id=task_id,
            group=_group(group),
            submit_feedback=_feedback(submit_feedback),
            tools=tools,
            **_common(attempt_id, pool, labels, limits, lease_ms),
        )
        return self._attempt(request, create_deadline)

    def sandbox(
        self,
        task_id: str = "",
        *,
        image: str = "",
        workdir: str = "",
        env: Mapping[str, str] | None = None,
        pool: str = "",
        group: str | tuple[str, int] | None = None,
        labels: Mapping[str, str] | None = None,
        limits: Mapping[str, int] | None = None,
        attempt_id: str | None = None,
        lease_ms: int = 0,
        create_deadline: float | None = None,
    ) -> BareSandbox:
        """
        A sandbox without a policy, with the environment of a task or from an image:
        `async with client.sandbox(task_id) as sandbox`. The rest is as with `trajectory`. Needs a server that offers
        SandboxService, and a token with scope "sandbox".
        """
        if bool(task_id) == bool(image):
            raise InvalidError("sandbox: expected a task_id or an image, got both or neither", field="sandbox")
        base = {"image": image} if image else {"task_id": task_id}
        request = pb.CreateRequest(
            sandbox=pb.SandboxSpec(**base, workdir=workdir, env=dict(env or {})),
            group=_group(group),
            **_common(attempt_id, pool, labels, limits, lease_ms),
        )
        return BareSandbox(self._attempt(request, create_deadline))

    def sandbox_of(self, trajectory_id: str) -> Sandbox:
        """The sandbox of a trajectory that somebody else holds. Calls renew its lease, and nothing else does here."""
        calls, _, info = self._opened()
        return Sandbox(calls, trajectory_id, info.default_limits.command_ms)

    async def grade_patch(
        self, task_id: str, patch: bytes | str, *, grade_ms: int = 0, call_id: str | None = None
    ) -> Grade:
        """Judges a bare patch on a task, without a trajectory."""
        raw = patch.encode("utf-8", "surrogateescape") if isinstance(patch, str) else patch
        submission = pb.Submission(task_id=task_id, patch=raw, grade_ms=grade_ms)
        request = pb.GradeRequest(submission=submission, call_id=call_id or uuid.uuid4().hex)
        return Grade._from(await self._calls.unary("Grade", request, deadline_s=_GRADE_S))

    async def release(
        self,
        trajectory_ids: Iterable[str] = (),
        *,
        labels: Mapping[str, str] | None = None,
        attempt_ids: Iterable[str] = (),
    ) -> Released:
        """Ends trajectories by id, attempt, or all of the labels: so a restarted trainer frees its orphans."""
        request = pb.ReleaseRequest(
            trajectory_ids=list(trajectory_ids),
            labels={key: str(value) for key, value in (labels or {}).items()},
            attempt_ids=list(attempt_ids),
        )
        return Released._from(await self._calls.unary("Release", request))

    async def get_trajectory(self, trajectory_id: str) -> Summary:
        """One trajectory, also after its end."""
        request = pb.GetTrajectoryRequest(trajectory_id=trajectory_id)
        return Summary._from(await self._calls.unary("GetTrajectory", request))

    async def list_trajectories(self, filter: str = "", *, page_size: int = 0) -> AsyncIterator[Summary]:
        """Trajectories, newest first, without prompt and tools. `filter`: "state=ACTIVE label.run_id=7"."""
        request = pb.ListTrajectoriesRequest(filter=filter, page_size=page_size)
        while True:
            page = await self._calls.unary("ListTrajectories", request)
            for trajectory in page.trajectories:
                yield Summary._from(trajectory)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def record(self, trajectory_id: str) -> AsyncIterator[dict[str, Any]]:
        """The record of a trajectory, line by line."""
        request = pb.GetRecordRequest(trajectory_id=trajectory_id)
        wanted = 0
        async for line in self._calls.stream("GetRecord", lambda: request, deadline_s=_RECORD_S):
            if line.index >= wanted:  # after a cut the stream begins anew
                wanted = line.index + 1
                yield json.loads(line.json)

    def _attempt(self, request: pb.CreateRequest, create_deadline: float | None) -> Trajectory:
        calls, heartbeats, info = self._opened()
        deadline_s = self._create_deadline_s if create_deadline is None else create_deadline
        return Trajectory(calls, heartbeats, request, deadline_s, request.lease_ms or info.lease_ms)

    @property
    def _calls(self) -> Calls:
        return self._opened()[0]

    def _opened(self) -> tuple[Calls, Heartbeats, ServerInfo]:
        if self._open is None:
            raise RuntimeError("this sandlot client is not open: use `async with sandlot.connect(...) as client`")
        return self._open


def _common(
    attempt_id: str | None,
    pool: str,
    labels: Mapping[str, str] | None,
    limits: Mapping[str, int] | None,
    lease_ms: int,
) -> dict[str, Any]:
    """What a Create says whatever it makes."""
    return {
        "attempt_id": attempt_id or uuid.uuid4().hex,
        "pool": pool,
        "labels": {key: str(value) for key, value in (labels or {}).items()},
        "limits": _limits(limits or {}),
        "lease_ms": lease_ms,
    }


def _group(group: str | tuple[str, int] | None) -> trajectory_pb2.Group | None:
    if not group:
        return None
    name, size = (group, 0) if isinstance(group, str) else group
    return trajectory_pb2.Group(id=name, size=size)


def _limits(limits: Mapping[str, int]) -> trajectory_pb2.Limits:
    wire = trajectory_pb2.Limits()
    known = [field.name for field in wire.DESCRIPTOR.fields if field.name != "enforced"]
    for name, value in limits.items():
        if name not in known:
            raise InvalidError(f"limits: expected one of {', '.join(known)}, got {name!r}", field="limits")
        try:
            setattr(wire, name, value)
        except (TypeError, ValueError):
            raise InvalidError(
                f"limits.{name}: expected a whole number of 32 bits, got {value!r:.60}", field=f"limits.{name}"
            ) from None
    return wire


def _feedback(word: str) -> Any:
    known = [name.removeprefix("FEEDBACK_").lower() for name in pb.Feedback.keys()[1:]]
    if word.lower() not in known:
        raise InvalidError(
            f"submit_feedback: expected one of {', '.join(known)}, got {word!r}", field="submit_feedback"
        )
    return pb.Feedback.Value(f"FEEDBACK_{word.upper()}")
