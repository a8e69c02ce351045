"""Client of Sandlot, a rollout environment server for reinforcement learning on software-engineering tasks."""

from ._tls import Tls
from ._wire import Message
from .bare_sandbox import BareSandbox
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
from .sandbox import ExecEvent, ExecResult, Sandbox
from .served import PoolStatus, PrepareEvent, ServerBackend, ServerInfo, Task
from .trajectory import Trajectory

__version__ = "0.1.0"

__all__ = [
    "BareSandbox",
    "Budget",
    "BusyError",
    "Client",
    "ConnectionLost",
    "DrainingError",
    "EndedError",
    "ExecEvent",
    "ExecResult",
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
    "Sandbox",
    "SandboxFault",
    "SandlotError",
    "ServerBackend",
    "ServerInfo",
    "StreamEvent",
    "Summary",
    "Task",
    "TaskFault",
    "TestCount",
    "Timings",
    "Tls",
    "Trajectory",
    "Turn",
    "UnauthenticatedError",
    "UnsupportedError",
    "connect",
]
