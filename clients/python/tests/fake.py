"""A server that speaks the proto and does what each test tells it, to show the client's own logic."""

from __future__ import annotations

import asyncio
import inspect
import random
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2, message_factory
from google.rpc import error_details_pb2, status_pb2

from sandlot._gen import grade_pb2, trajectory_pb2
from sandlot._gen import rollout_service_pb2 as pb
from sandlot._stub import SANDBOX_SERVICE, SERVICE


class Fake:
    """`requests[rpc]` holds what arrived; `on(rpc, *answers)` says what the next calls get, the last one for ever."""

    def __init__(self) -> None:
        self.requests: dict[str, list[Any]] = defaultdict(list)
        self.metadata: list[tuple[str, Any]] = []
        self._answers: dict[str, list[Any]] = {}
        self._server: grpc.aio.Server | None = None
        self.port = 0
        self.on("GetServerInfo", pb.GetServerInfoResponse(version="1", instance="ab12", lease_ms=900_000, tasks=2))
        self.on("Create", lambda request: trajectory(request.attempt_id, request.task_id))
        self.on("Execute", lambda request: trajectory_pb2.Result(step=1, call_id=request.call_id, kind=1, exit_code=0))
        self.on("Grade", lambda request: grade_pb2.Grade(id="g", validity=1, outcome=1, reward=1))
        self.on("Release", lambda request: pb.ReleaseResponse(unknown=request.trajectory_ids))
        self.on("Heartbeat", pb.HeartbeatResponse())

    def on(self, rpc: str, *answers: Any) -> None:
        """An answer is a message, a list of them (a stream), a `fault()`, or a function of the request."""
        self._answers[rpc] = list(answers)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listens; after `stop`, again on the same port."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        for service in (SERVICE, SANDBOX_SERVICE):
            handlers = {method.name: self._handler(method) for method in service.methods}
            self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service.full_name, handlers)])
        self.port = self.port or _free_port()
        self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        """Cuts all connections at once."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    def _handler(self, method: Any) -> grpc.RpcMethodHandler:
        async def unary(request: Any, context: grpc.aio.ServicerContext) -> Any:
            return await self._answer(method.name, request, context)

        async def gathered(requests: Any, context: grpc.aio.ServicerContext) -> Any:
            return await self._answer(method.name, [request async for request in requests], context)

        async def stream(request: Any, context: grpc.aio.ServicerContext) -> Any:
            for message in await self._answer(method.name, request, context):
                if isinstance(message, Fault):
                    await message.send(context)
                yield message

        make, work = (
            (grpc.unary_stream_rpc_method_handler, stream)
            if method.server_streaming
            else (grpc.stream_unary_rpc_method_handler, gathered)
            if method.client_streaming
            else (grpc.unary_unary_rpc_method_handler, unary)
        )
        return make(
            work,
            request_deserializer=message_factory.GetMessageClass(method.input_type).FromString,
            response_serializer=message_factory.GetMessageClass(method.output_type).SerializeToString,
        )

    async def _answer(self, rpc: str, request: Any, context: grpc.aio.ServicerContext) -> Any:
        self.requests[rpc].append(request)
        self.metadata.extend(context.invocation_metadata() or ())
        answers = self._answers[rpc]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        answer = answer(request) if callable(answer) else answer
        answer = await answer if inspect.isawaitable(answer) else answer
        if isinstance(answer, Fault):
            await answer.send(context)
        return answer


def _free_port() -> int:
    """Below those that connections take for themselves: nobody has it when the server comes back."""
    for port in random.SystemRandom().sample(range(10_000, 32_000), 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no port is free")


class Fault:
    """An error on the wire."""

    def __init__(self, code: grpc.StatusCode, text: str, details: list[Any]) -> None:
        self.code, self.text, self.details = code, text, details

    async def send(self, context: grpc.aio.ServicerContext) -> None:
        packed = []
        for detail in self.details:
            packed.append(any_pb2.Any())
            packed[-1].Pack(detail)
        status = status_pb2.Status(code=self.code.value[0], message=self.text, details=packed)
        if packed:
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        await context.abort(self.code, self.text)


def fault(reason: str, code: str, *more: Any, retry_ms: int = 0, **facts: str) -> Fault:
    """As the server sends it: ErrorInfo, and RetryInfo when `retry_ms` is given."""
    details: list[Any] = [error_details_pb2.ErrorInfo(reason=reason, domain="sandlot", metadata=facts), *more]
    if retry_ms:
        details.append(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=retry_ms * 1_000_000)))
    return Fault(grpc.StatusCode[code], f"words about {reason}", details)


def bare(code: str, text: str = "") -> Fault:
    """As gRPC itself reports: no details."""
    return Fault(grpc.StatusCode[code], text, [])


def trajectory(attempt_id: str, task_id: str = "task") -> trajectory_pb2.Trajectory:
    return trajectory_pb2.Trajectory(
        id=f"sandlot-ab12-{attempt_id}",
        task_id=task_id,
        attempt_id=attempt_id,
        state=trajectory_pb2.STATE_ACTIVE,
        messages=[trajectory_pb2.ChatMessage(role="user", content="fix it")],
        tools=[trajectory_pb2.ToolSchema(name="bash", openai_json='{"type": "function"}')],
        limits=trajectory_pb2.Limits(
            command_ms=1000, grade_ms=1000, memory_mib=2048, enforced={"memory_mib": trajectory_pb2.ENFORCEMENT_HARD}
        ),
        left=trajectory_pb2.Budget(steps=100),
    )


async def until(condition: Callable[[], Any], limit_s: float = 60.0) -> None:
    """Waits for something to become true."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        await asyncio.sleep(0.01)
