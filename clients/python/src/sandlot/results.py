"""What became of trajectories, as plain frozen data that pickles. Words of the wire are plain strings: "VALID"."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ._gen import grade_pb2, rollout_service_pb2, trajectory_pb2
from ._wire import Message, messages, optional, scalars, tools, when, word


@dataclass(frozen=True)
class Timings:
    """Where the time of a call went, in milliseconds; the last three are parts of a grade."""

    queued_ms: int
    prepare_ms: int
    sandbox_ms: int
    command_ms: int
    grade_ms: int
    server_ms: int
    submission_ms: int = 0
    tests_ms: int = 0
    verdict_ms: int = 0

    @classmethod
    def _from(cls, wire: grade_pb2.Timings) -> Timings:
        return cls(**scalars(wire))


@dataclass(frozen=True)
class Budget:
    """What is left."""

    steps: int
    turns: int
    wall_ms: int

    @classmethod
    def _from(cls, wire: trajectory_pb2.Budget) -> Budget:
        return cls(**scalars(wire))


@dataclass(frozen=True)
class Limits:
    """Effective limits. `enforced` says how each is kept on the server's host: "HARD", "WATCHED" or "NONE"."""

    max_steps: int
    max_turns: int
    wall_ms: int
    command_ms: int
    no_output_ms: int
    output_bytes: int
    memory_mib: int
    cpu_milli: int
    pids: int
    disk_mib: int
    grade_ms: int
    enforced: dict[str, str]

    @classmethod
    def _from(cls, wire: trajectory_pb2.Limits) -> Limits:
        enforced = {name: word(trajectory_pb2.Enforcement, kept) for name, kept in wire.enforced.items()}
        return cls(**scalars(wire), enforced=enforced)


@dataclass(frozen=True)
class TestCount:
    """Counts of one group of tests; the names only for a token with scope "hidden"."""

    __test__ = False

    passed: int
    failed: int
    passed_names: tuple[str, ...]
    failed_names: tuple[str, ...]


@dataclass(frozen=True)
class Provenance:
    """What a grade was made of: enough to make it again."""

    environment_digest: str
    base_commit: str
    seal: str
    rule: str
    parser: str
    patch_sha256: str
    log_sha256: str
    backend: str
    server_version: str
    image_digest: str = ""


@dataclass(frozen=True)
class Grade:
    """The judgement on one submission. `reward` is None unless `validity` is "VALID": such a sample is no 0."""

    id: str
    reward: float | None
    validity: str
    outcome: str
    reason: str
    official_resolved: bool | None
    official_rule: str
    assurance: str
    tests: dict[str, TestCount]
    provenance: Provenance
    timings: Timings
    submitted: bool
    patch: bytes
    left_out: tuple[str, ...]

    @classmethod
    def _from(cls, wire: grade_pb2.Grade) -> Grade:
        return cls(
            id=wire.id,
            reward=optional(wire, "reward") if wire.validity == grade_pb2.VALIDITY_VALID else None,
            validity=word(grade_pb2.Validity, wire.validity),
            outcome=word(grade_pb2.Outcome, wire.outcome),
            reason=wire.reason,
            official_resolved=optional(wire, "official_resolved"),
            official_rule=wire.official_rule,
            assurance=word(grade_pb2.AssuranceLevel, wire.assurance.level),
            tests={
                name: TestCount(count.passed, count.failed, tuple(count.passed_names), tuple(count.failed_names))
                for name, count in wire.tests.items()
            },
            provenance=Provenance(**scalars(wire.provenance)),
            timings=Timings._from(wire.timings),
            submitted=wire.submitted,
            patch=wire.patch,
            left_out=tuple(wire.left_out),
        )


@dataclass(frozen=True)
class Result:
    """The outcome of one executed tool call. A command that ran is a result, whatever became of it."""

    step: int
    call_id: str
    tool: str
    text: str
    kind: str
    """"OK", "TOOL_ERROR", "TIMED_OUT", "INTERRUPTED", "DONE" or "OUT_OF_BUDGET"."""
    exit_code: int | None
    signal: int | None
    output_bytes: int
    output_truncated: bool
    spill_path: str
    oom_kills: int
    timeout_ms: int
    """The time limit that the command had: that of the call, within the trajectory's limits. 0 = nothing was run."""
    terminated: bool
    truncated: bool
    grade: Grade | None
    left: Budget
    timings: Timings
    replayed: bool

    @classmethod
    def _from(cls, wire: trajectory_pb2.Result) -> Result:
        return cls(
            step=wire.step,
            call_id=wire.call_id,
            tool=wire.tool,
            text=wire.text,
            kind=word(trajectory_pb2.ResultKind, wire.kind),
            exit_code=optional(wire, "exit_code"),
            signal=wire.signal or None,
            output_bytes=wire.output_bytes,
            output_truncated=wire.output_truncated,
            spill_path=wire.spill_path,
            oom_kills=wire.oom_kills,
            timeout_ms=wire.timeout_ms,
            terminated=wire.terminated,
            truncated=wire.truncated,
            grade=_grade(wire),
            left=Budget._from(wire.left),
            timings=Timings._from(wire.timings),
            replayed=wire.replayed,
        )


@dataclass(frozen=True)
class Turn:
    """The outcome of one assistant turn; `observations` is what to append to the chat."""

    turn: int
    observations: list[Message]
    results: list[Result]
    reward: float | None
    terminated: bool
    truncated: bool
    grade: Grade | None
    left: Budget
    replayed: bool
    #: Why the calls in the message's text could not be read; then nothing was run.
    parse_error: str

    @classmethod
    def _from(cls, wire: trajectory_pb2.Turn) -> Turn:
        return cls(
            turn=wire.turn,
            parse_error=wire.parse_error,
            observations=messages(wire.observations),
            results=[Result._from(result) for result in wire.results],
            reward=optional(wire, "reward"),
            terminated=wire.terminated,
            truncated=wire.truncated,
            grade=_grade(wire),
            left=Budget._from(wire.left),
            replayed=wire.replayed,
        )


@dataclass(frozen=True)
class StreamEvent:
    """Something happened while a step ran. The last event has type "result"."""

    type: str
    """"queued", "stdout", "stderr", "progress" or "result"."""
    offset: int
    """Where the output of this event begins, both streams counted together."""
    data: bytes = b""
    ahead: int = 0
    """With "queued": steps before this one."""
    running_ms: int = 0
    """With "progress": for how long the step has been running."""
    result: Result | None = None

    @classmethod
    def _from(cls, wire: rollout_service_pb2.ExecuteEvent) -> StreamEvent:
        kind = wire.WhichOneof("event") or ""
        return cls(
            type=kind,
            offset=wire.offset,
            data=getattr(wire, kind) if kind in ("stdout", "stderr") else b"",
            ahead=wire.queued.ahead,
            running_ms=wire.progress.running_ms,
            result=Result._from(wire.result) if kind == "result" else None,
        )


@dataclass(frozen=True)
class Summary:
    """A trajectory as the server tells it."""

    id: str
    task_id: str
    attempt_id: str
    pool: str
    group: tuple[str, int] | None
    labels: dict[str, str]
    state: str
    ending: str | None
    messages: list[Message]
    tools: list[dict[str, Any]]
    limits: Limits
    last_step: int
    grade: Grade | None
    created_at: datetime | None
    lease_until: datetime | None
    timings: Timings
    environment_digest: str
    record_uri: str
    workdir: str
    left: Budget
    harness_calls: int
    """Calls of a harness that may have changed the sandbox."""
    bare: bool
    """A bare sandbox."""

    @classmethod
    def _from(cls, wire: trajectory_pb2.Trajectory) -> Summary:
        return cls(
            id=wire.id,
            task_id=wire.task_id,
            attempt_id=wire.attempt_id,
            pool=wire.pool,
            group=(wire.group.id, wire.group.size) if wire.HasField("group") else None,
            labels=dict(wire.labels),
            state=word(trajectory_pb2.State, wire.state),
            ending=word(trajectory_pb2.Ending, wire.ending) if wire.ending else None,
            messages=messages(wire.messages),
            tools=tools(wire.tools),
            limits=Limits._from(wire.limits),
            last_step=wire.last_step,
            grade=_grade(wire),
            created_at=when(wire, "created_at"),
            lease_until=when(wire, "lease_until"),
            timings=Timings._from(wire.timings),
            environment_digest=wire.environment_digest,
            record_uri=wire.record_uri,
            workdir=wire.workdir,
            left=Budget._from(wire.left),
            harness_calls=wire.harness_calls,
            bare=wire.bare,
        )


@dataclass(frozen=True)
class Released:
    """What a release ended."""

    trajectories: list[Summary]
    unknown: list[str]
    cancelled_creates: int

    @classmethod
    def _from(cls, wire: rollout_service_pb2.ReleaseResponse) -> Released:
        return cls([Summary._from(one) for one in wire.trajectories], list(wire.unknown), wire.cancelled_creates)


def _grade(wire: Any) -> Grade | None:
    return Grade._from(wire.grade) if wire.HasField("grade") else None
