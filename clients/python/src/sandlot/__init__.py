"""Client of Sandlot, a rollout environment server for reinforcement learning on software-engineering tasks."""

from ._wire import Message
from .client import Client, connect
from .errors import (
    BusyError,
    ConnectionLost,
    DrainingError,
    EndedError,
    ForbiddenError,
    InternalError,
    InvalidError,
    NotFoundError,
    OutOfOrderError,
    SandboxFault,
    SandlotError,
    TaskFault,
    UnauthenticatedError,
    UnsupportedError,
)
from .results import (
    Budget,
    Grade,
    Limits,
    Provenance,
    Released,
    Result,
    StreamEvent,
    Summary,
    TestCount,
    Timings,
    Turn,
)
from .served import PoolStatus, PrepareEvent, ServerInfo, Task
from .trajectory import Trajectory

__version__ = "0.1.0"

__all__ = [
    "Budget",
    "BusyError",
    "Client",
    "ConnectionLost",
    "DrainingError",
    "EndedError",
    "ForbiddenError",
    "Grade",
    "InternalError",
    "InvalidError",
    "Limits",
    "Message",
    "NotFoundError",
    "OutOfOrderError",
    "PoolStatus",
    "PrepareEvent",
    "Provenance",
    "Released",
    "Result",
    "SandboxFault",
    "SandlotError",
    "ServerInfo",
    "StreamEvent",
    "Summary",
    "Task",
    "TaskFault",
    "TestCount",
    "Timings",
    "Trajectory",
    "Turn",
    "UnauthenticatedError",
    "UnsupportedError",
    "connect",
]
