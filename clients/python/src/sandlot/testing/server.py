"""The fake on a port."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

import grpc
from google.protobuf import any_pb2, message_factory
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from .._background import BackgroundLoop
from .._gen import trajectory_pb2
from .._stub import SANDBOX_SERVICE, SERVICE
from ..errors import SandlotError
from .places import Places
from .service import FakeService
from .shell import Command
from .tasks import FakeTask

_STATUS = {
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "not_found": grpc.StatusCode.NOT_FOUND,
    "ended": grpc.StatusCode.FAILED_PRECONDITION,
    "out_of_order": grpc.StatusCode.FAILED_PRECONDITION,
    "unsupported": grpc.StatusCode.UNIMPLEMENTED,
    "busy": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "sandbox": grpc.StatusCode.ABORTED,
    "task": grpc.StatusCode.ABORTED,
}


class FakeServer:
    """
    `with FakeServer(tasks) as server`: serves on a loop in a thread of its own, at `server.address`. `commands` are
    further programs of its shell; `pools` are names to (slots, how many may wait).

    What it does not do: no process runs (commands run in `Shell`), and limits of memory, CPU, processes and disk are
    echoed and not kept. Text in `Step` is read in the format "hermes" only. A grade is what `FakeTask.solves` says,
    without tests or their counts, and a patch for `grade_patch` is not applied. No feedback after a submission or a
    turn; no tools but `bash`, `str_replace_editor` and `submit_solution`; no sandboxes from images; no tokens, TLS,
    health, reflection and metrics. Owners take no turns in a line, and a group is waited for without end. It forgets
    all when it stops.
    """

    def __init__(
        self,
        tasks: Iterable[FakeTask] = (FakeTask("fake"),),
        *,
        commands: Mapping[str, Command] | None = None,
        pools: Mapping[str, tuple[int, int]] | None = None,
        sandbox_service: bool = True,
    ) -> None:
        self._tasks = list(tasks)
        self._commands = dict(commands or {})
        self._pools = dict(pools or {"default": (1000, 4096)})
        self._offered = sandbox_service
        self._loop = BackgroundLoop()
        self._server: grpc.aio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._service: FakeService | None = None
        self.address = ""

    def __enter__(self) -> FakeServer:
        self._loop.run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._stop())
        self._loop.stop()

    def leftovers(self) -> dict[str, list[str]]:
        """The sandboxes that there are now, by the ids of their trajectories."""
        trajectories = self._service.trajectories.values() if self._service else []
        there = (trajectory_pb2.STATE_ACTIVE, trajectory_pb2.STATE_GRADING)
        return {"sandboxes": [one.id for one in trajectories if one.state in there]}

    async def _start(self) -> None:
        self._service = FakeService(self._tasks, Places(self._pools), self._commands, self._offered)
        self._server = grpc.aio.server(
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 64 << 20)]
        )
        for service in (SERVICE, SANDBOX_SERVICE):
            handlers = {method.name: self._handler(method) for method in service.methods}
            self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service.full_name, handlers)])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        self._sweeper = asyncio.ensure_future(self._service.sweep())

    async def _stop(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._server is not None:
            await self._server.stop(None)

    def _handler(self, method: Any) -> grpc.RpcMethodHandler:
        work = getattr(self._service, method.name)

        async def one(request: Any, context: grpc.aio.ServicerContext) -> Any:
            try:
                return await work(request, context.time_remaining())
            except SandlotError as error:
                await self._refuse(error, context)

        async def many(request: Any, context: grpc.aio.ServicerContext) -> Any:
            try:
                async for message in work(request, context.time_remaining()):
                    yield message
            except SandlotError as error:
                await self._refuse(error, context)

        streams = inspect.isasyncgenfunction(work)
        make = grpc.unary_stream_rpc_method_handler if streams else grpc.unary_unary_rpc_method_handler
        if method.client_streaming:
            make = grpc.stream_unary_rpc_method_handler
        return make(
            many if streams else one,
            request_deserializer=message_factory.GetMessageClass(method.input_type).FromString,
            response_serializer=message_factory.GetMessageClass(method.output_type).SerializeToString,
        )

    async def _refuse(self, error: SandlotError, context: grpc.aio.ServicerContext) -> None:
        facts = {"field": error.field, "knob": error.knob, "trajectory_id": error.trajectory_id}
        known = {name: value for name, value in facts.items() if value}
        details: list[Any] = [error_details_pb2.ErrorInfo(reason=error.fault, domain="sandlot", metadata=known)]
        if error.retry_after:
            delay = Duration(nanos=int(error.retry_after * 1e9))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        ended = self._service.wire_of(error.trajectory_id) if self._service and error.trajectory_id else None
        if error.fault == "ended" and ended is not None:
            details.append(trajectory_pb2.TrajectoryEnded(trajectory=ended))
        status = status_pb2.Status(code=_STATUS[error.fault].value[0], message=str(error))
        for detail in details:
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        await context.abort(_STATUS[error.fault], str(error))
