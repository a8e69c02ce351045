"""What can go wrong, by whose fault it is. A command that fails is none of these: it is a result."""

from __future__ import annotations

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from ._gen import trajectory_pb2
from .results import Summary


class SandlotError(Exception):
    """The base of all errors of this package. They pickle, so they may cross processes."""

    fault: str = ""
    """Whose fault it is, in the word of the wire."""

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        knob: str | None = None,
        retry_after: float | None = None,
        trajectory_id: str | None = None,
        trajectory: Summary | None = None,
    ) -> None:
        super().__init__(message)
        self.field = field
        """The request field at fault, where there is one."""
        self.knob = knob
        """The setting that would change the outcome, where there is one."""
        self.retry_after = retry_after
        """Seconds after which trying again is worth while, where the server said so."""
        self.trajectory_id = trajectory_id
        self.trajectory = trajectory
        """With `ended`: the summary of the trajectory that is over, its stored grade included."""


class InvalidError(SandlotError):
    """The call is wrong: the message names the field, what was expected and what was got."""

    fault = "invalid"


class NotFoundError(SandlotError):
    """Nobody knows that id."""

    fault = "not_found"


class EndedError(SandlotError):
    """The trajectory is over; `trajectory` is its summary."""

    fault = "ended"


class OutOfOrderError(SandlotError):
    """The step fence does not match."""

    fault = "out_of_order"


class UnsupportedError(SandlotError):
    """This server, backend or task can't do that."""

    fault = "unsupported"


class BusyError(SandlotError):
    """No room, up to the deadline of the call."""

    fault = "busy"


class DrainingError(SandlotError):
    """The server is about to stop and takes no new work."""

    fault = "draining"


class SandboxFault(SandlotError):
    """The infrastructure failed: the trajectory is void, drop or redo the sample. Never train on it as a 0."""

    fault = "sandbox"


class TaskFault(SandlotError):
    """The task's own set-up or grader is broken: drop the task."""

    fault = "task"


class UnauthenticatedError(SandlotError):
    """The token is missing or unknown."""

    fault = "unauthenticated"


class ForbiddenError(SandlotError):
    """The token lacks the scope for this call."""

    fault = "forbidden"


class InternalError(SandlotError):
    """A bug of the server: its log has the cause."""

    fault = "internal"


class ConnectionLost(SandlotError):
    """The server could not be reached, or gave no answer, for as long as the client's patience allows."""

    fault = "connection"


_BY_FAULT: dict[str, type[SandlotError]] = {
    kind.fault: kind
    for kind in (
        InvalidError,
        NotFoundError,
        EndedError,
        OutOfOrderError,
        UnsupportedError,
        BusyError,
        DrainingError,
        SandboxFault,
        TaskFault,
        UnauthenticatedError,
        ForbiddenError,
    )
}

_BY_STATUS: dict[grpc.StatusCode, type[SandlotError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.UNIMPLEMENTED: UnsupportedError,
    # Busy always has an ErrorInfo: without one this is gRPC's own "message too large".
    grpc.StatusCode.RESOURCE_EXHAUSTED: InvalidError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: ForbiddenError,
}

_LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
# How gRPC's core words a stream that the other end cut off, under various codes.
_CUT_STREAM = ("RST_STREAM", "Stream removed", "Socket closed", "Connection reset")


def from_rpc(error: grpc.aio.AioRpcError) -> SandlotError:
    """The typed error for what gRPC raised; `ConnectionLost` when no server answered."""
    text = error.details() or ""
    details = _details(error)
    info = next((found for found in details if isinstance(found, error_details_pb2.ErrorInfo)), None)
    if info is None and _is_lost(error.code(), text):
        return ConnectionLost(text)
    kind = _BY_FAULT.get(info.reason) if info else _BY_STATUS.get(error.code())
    facts = info.metadata if info else {}
    retry = next((found for found in details if isinstance(found, error_details_pb2.RetryInfo)), None)
    ended = next((found for found in details if isinstance(found, trajectory_pb2.TrajectoryEnded)), None)
    return (kind or InternalError)(
        text,
        field=facts.get("field"),
        knob=facts.get("knob"),
        retry_after=retry.retry_delay.ToTimedelta().total_seconds() if retry else None,
        trajectory_id=facts.get("trajectory_id"),
        trajectory=Summary._from(ended.trajectory) if ended else None,
    )


def _is_lost(code: grpc.StatusCode, text: str) -> bool:
    return code in _LOST or any(words in text for words in _CUT_STREAM)


_KNOWN: list[type[Message]] = [error_details_pb2.ErrorInfo, error_details_pb2.RetryInfo, trajectory_pb2.TrajectoryEnded]


def _details(error: grpc.aio.AioRpcError) -> list[Message]:
    """google.rpc.Status out of the trailers, without grpcio-status (which pins protobuf to the newest)."""
    pairs = error.trailing_metadata() or ()
    raw = next((value for key, value in pairs if key == "grpc-status-details-bin"), None)
    found: list[Message] = []
    for packed in status_pb2.Status.FromString(raw).details if raw else []:
        for kind in _KNOWN:
            if packed.Is(kind.DESCRIPTOR):
                message = kind()
                packed.Unpack(message)
                found.append(message)
    return found
