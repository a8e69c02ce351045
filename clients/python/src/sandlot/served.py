"""What a server says of itself and of its tasks, as plain frozen data that pickles."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ._gen import rollout_service_pb2, trajectory_pb2
from ._wire import Message, messages, scalars, tools, when, word
from .results import Limits


@dataclass(frozen=True)
class Task:
    """One problem, as far as a policy or trainer may see it."""

    id: str
    dataset: str
    repo: str
    base_commit: str
    language: str
    difficulty: str
    playable: bool
    unplayable_reason: str
    instruction: str
    workdir: str
    backend: str
    """That plays it, by its name in the server's configuration."""
    messages: list[Message]
    """Empty in lists; `client.task(id)` has them."""
    tools: list[dict[str, Any]]
    """OpenAI function form; empty in lists."""

    @classmethod
    def _from(cls, wire: rollout_service_pb2.Task) -> Task:
        return cls(**scalars(wire), messages=messages(wire.messages), tools=tools(wire.tools))


@dataclass(frozen=True)
class PoolStatus:
    """Present use of a pool."""

    slots: int
    used: int
    queued: int


@dataclass(frozen=True)
class ServerBackend:
    """A backend of a server."""

    name: str
    type: str
    isolated: bool
    images: bool
    #: How each limit is kept: "HARD", "WATCHED" or "NONE".
    enforced: dict[str, str]
    #: What it does without, by name, to the reason.
    lacks: dict[str, str]

    @classmethod
    def _from(cls, wire: rollout_service_pb2.ServerBackend) -> ServerBackend:
        enforced = {name: word(trajectory_pb2.Enforcement, kept) for name, kept in wire.enforced.items()}
        return cls(**scalars(wire), enforced=enforced, lacks=dict(wire.lacks))


@dataclass(frozen=True)
class ServerInfo:
    """What the server is."""

    version: str
    instance: str
    backend: str
    isolated: bool
    default_limits: Limits
    pools: dict[str, PoolStatus]
    grading: PoolStatus
    started_at: datetime | None
    draining: bool
    lease_ms: int
    tasks: int
    #: The formats of `Trajectory.step(text, format=...)`.
    formats: list[str]
    #: The default one first, which is called "default".
    backends: list[ServerBackend]
    sandbox_service: bool
    """Bare sandboxes and calls of a harness are taken."""

    @classmethod
    def _from(cls, wire: rollout_service_pb2.GetServerInfoResponse) -> ServerInfo:
        return cls(
            **scalars(wire),
            default_limits=Limits._from(wire.default_limits),
            pools={name: PoolStatus(**scalars(pool)) for name, pool in wire.pools.items()},
            grading=PoolStatus(**scalars(wire.grading)),
            started_at=when(wire, "started_at"),
            formats=list(wire.formats),
            backends=[ServerBackend._from(one) for one in wire.backends],
        )


@dataclass(frozen=True)
class PrepareEvent:
    """Something happened while environments were prepared."""

    task_id: str
    stage: str
    message: str
    environment_digest: str
    done: bool
    fault: str
    prepare_ms: int

    @classmethod
    def _from(cls, wire: rollout_service_pb2.PrepareEvent) -> PrepareEvent:
        return cls(**scalars(wire))
