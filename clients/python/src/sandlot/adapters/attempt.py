"""One trajectory as a trainer's loop sees it: tool calls that give text, then a score or a loss."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import sandlot
from sandlot._calls import to_the_end

from .connection import connection
from .settings import Settings

log = logging.getLogger("sandlot")

_RELEASE_S = 30.0
# The cause lies outside of what the policy did. Everything else that is raised is a wrong call or a wrong set-up.
_SPOILED = (
    sandlot.SandboxFault,
    sandlot.TaskFault,
    sandlot.ConnectionLost,
    sandlot.BusyError,
    sandlot.DrainingError,
    sandlot.InternalError,
)
_OWN_DOING = ("SUBMITTED", "BUDGET", "POLICY_BROKE_SANDBOX")


def policys_own(error: sandlot.SandlotError) -> bool:
    """Whether the trajectory ended by what the policy did: a grade of it counts."""
    return isinstance(error, sandlot.EndedError) and bool(error.trajectory and error.trajectory.ending in _OWN_DOING)


class Lost(Exception):
    """The infrastructure spoiled the attempt: there is no reward. `again`: whether a new attempt may fare better."""

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.again = again


@asynccontextmanager
async def attempt(
    settings: Settings, task_id: str, *, group: str | None, labels: Mapping[str, str], tools: Sequence[str]
) -> AsyncIterator[Attempt]:
    """
    A new trajectory, released at the end; a release that fails is left to the lease. Raises `Lost` when there is none
    to be had, and the client's own error, with what to do, when the set-up is wrong.
    """
    try:
        async with connection(settings) as client:
            trajectory = client.trajectory(
                task_id,
                pool=settings.pool,
                group=group,
                labels={**labels, **settings.labels},
                limits=settings.limits,
                lease_ms=settings.lease_ms,
                submit_feedback=settings.submit_feedback,
                tools=tools,
                create_deadline=settings.create_deadline_s,
            )
            try:
                await trajectory.open()
            except _SPOILED as error:
                waited = isinstance(error, (sandlot.ConnectionLost, sandlot.BusyError, sandlot.TaskFault))
                raise Lost(_explained(error, settings, task_id), again=not waited) from error
            try:
                yield Attempt(trajectory, settings)
            finally:
                await to_the_end(trajectory.release, _RELEASE_S, cancelled=True)
    except sandlot.ConnectionLost as error:
        raise Lost(_explained(error, settings, task_id), again=False) from error
    except sandlot.SandlotError as error:
        raise type(error)(_explained(error, settings, task_id), field=error.field, knob=error.knob) from error


class Attempt:
    """`lost` says that there will be no reward; `over` that nothing that the policy does changes it any more."""

    def __init__(self, trajectory: sandlot.Trajectory, settings: Settings) -> None:
        self.id = trajectory.id
        self.messages = trajectory.messages
        self.tools = trajectory.tools
        self.over = False
        self.lost: Lost | None = None
        self.grade: sandlot.Grade | None = None
        self._trajectory = trajectory
        self._settings = settings
        self._terminated = False
        self._as_it_stood = False
        self._steps = 0
        self._tool_errors = 0
        self._out_of_budget = False
        self._turn = asyncio.Lock()  # calls of one message run in their order

    async def call(self, tool: str, arguments: Any) -> str:
        """What the policy reads. Arguments go as it wrote them: whatever is wrong with them, it is told."""
        async with self._turn:
            if self.over:
                return ""
            try:
                result = await self._trajectory.execute(tool, arguments)
            except sandlot.InvalidError as error:
                self._tool_errors += 1
                return str(error)
            except (sandlot.EndedError, *_SPOILED) as error:
                return self._failed(error)
            return self._seen(result)

    async def turn(self, text: str, format: str) -> list[dict[str, Any]]:
        """
        A message as the policy wrote it, with its calls in that format: what it reads next, as chat messages. None when
        it made no call, and once nothing changes any more. Raises `InvalidError` for a format that the server does not
        know.
        """
        async with self._turn:
            if self.over:
                return []
            try:
                turn = await self._trajectory.step(text, format=format)
            except (sandlot.EndedError, *_SPOILED) as error:
                self._failed(error)
                return []
            self._tool_errors += bool(turn.parse_error)
            for result in turn.results:
                self._seen(result)
            self._out_of_budget = self._out_of_budget or turn.truncated
            self.over = self.over or turn.terminated or turn.truncated
            return list(turn.observations)

    async def settle(self) -> None:
        """The policy is done: fetches the grade where one is due, and finds out whether it counts."""
        if self.lost is not None:
            return
        if self.grade is None and (self._terminated or self._settings.grade_unsubmitted):
            self._as_it_stood = not self._terminated
            try:
                self.grade = await self._trajectory.submit()
            except (sandlot.EndedError, *_SPOILED) as error:
                self._failed(error)
        if self.grade is not None and self.grade.validity != "VALID":
            again = self.grade.validity not in ("TASK", "STRUCTURAL")
            self.lost = Lost(f"{self.grade.validity}: {self.grade.reason or 'no reason given'}", again=again)

    @property
    def reward(self) -> float:
        """Of the grade; 0 for a policy that did not submit. Means nothing when the attempt is lost."""
        return (self.grade.reward if self.grade else None) or 0.0

    def report(self) -> dict[str, float]:
        """Numbers, always the same keys: `reward_extra_info` of verl."""
        return {
            **report_of_lost(),
            "acc": self.reward if self.lost is None else 0.0,
            "score": self.reward if self.lost is None else 0.0,
            "submitted": float(bool(self.grade and self.grade.submitted and not self._as_it_stood)),
            "out_of_budget": float(self._out_of_budget),
            "steps": float(self._steps),
            "tool_errors": float(self._tool_errors),
            "infra_failed": float(self.lost is not None),
        }

    def _seen(self, result: sandlot.Result) -> str:
        self._steps = max(self._steps, result.step)
        self._tool_errors += result.kind == "TOOL_ERROR"
        self._out_of_budget = self._out_of_budget or result.truncated
        self._terminated = self._terminated or result.terminated
        self.grade = result.grade or self.grade
        self.over = result.terminated or result.truncated
        return result.text

    def _failed(self, error: sandlot.SandlotError) -> str:
        self.over = True
        ended = error.trajectory if isinstance(error, sandlot.EndedError) else None
        self.grade = (ended.grade if ended else None) or self.grade
        if self.grade is None and not policys_own(error):
            again = not isinstance(error, sandlot.TaskFault) and not (ended and ended.ending == "TASK")
            self.lost = Lost(f"trajectory {self.id}: {error.fault}: {error}", again=again)
        self._out_of_budget = self._out_of_budget or bool(ended and ended.ending == "BUDGET")
        return str(error)


def report_of_lost() -> dict[str, float]:
    """The report of an attempt that did not even begin."""
    names = ("acc", "score", "submitted", "out_of_budget", "steps", "tool_errors", "infra_failed", "redone")
    return {**dict.fromkeys(names, 0.0), "infra_failed": 1.0}


def _explained(error: sandlot.SandlotError, settings: Settings, task_id: str) -> str:
    """The error with what to do about it."""
    server = settings.server
    if isinstance(error, sandlot.ConnectionLost):
        return (
            f"no Sandlot server answers at {server} ({error}). Start one (`sandlot serve --listen {server}`), or name "
            "another: `server` in the YAML, which reads SANDLOT_SERVER where the Ray workers run"
        )
    if isinstance(error, (sandlot.UnauthenticatedError, sandlot.ForbiddenError)):
        what = "no token was sent" if settings.token is None else "the token that was sent will not do"
        return (
            f"the Sandlot server at {server} demands a token with scope `rollout`, and {what} ({error}). Set `token` "
            "in the YAML, which reads SANDLOT_TOKEN where the Ray workers run"
        )
    if isinstance(error, sandlot.NotFoundError):
        return (
            f"the Sandlot server at {server} does not know the task {task_id!r} ({error}). Serve the data set that "
            "this row came from (`sandlot serve --tasks SOURCE`), or build the rows anew from this server"
        )
    if isinstance(error, sandlot.BusyError):
        return (
            f"no place for task {task_id!r} at {server} within {settings.create_deadline_s:g} s ({error}). Raise "
            "`create_deadline_s` in the YAML, or the slots of the server"
        )
    return f"task {task_id!r} at {server}: {error.fault}: {error}"


def task_of(row: Mapping[str, Any]) -> str:
    """The task of a row of a data set: its column `task_id`, or `extra_info.task_id`."""
    extra = row.get("extra_info")
    task_id = row.get("task_id") or (extra.get("task_id") if isinstance(extra, Mapping) else None)
    if not isinstance(task_id, str):
        raise ValueError(f"expected a string in the column `task_id` of the data set, got {task_id!r} in {sorted(row)}")
    return task_id
