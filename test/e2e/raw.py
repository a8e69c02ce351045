"""The service without the client: for what a client would repeat, hide or never send."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
import sandlot
from sandlot._gen import rollout_service_pb2 as pb
from sandlot._gen import trajectory_pb2
from sandlot._stub import Stub
from sandlot.errors import from_rpc
from server import Serving

TASK = "py-interval-merge"


@asynccontextmanager
async def stub(server: Serving, token: str | None = None) -> AsyncIterator[Any]:
    """A connection of its own."""
    options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(server.address, options=options) as channel:
        yield Stub(channel)


async def refused(call: Awaitable[Any]) -> sandlot.SandlotError:
    """The typed error of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc(caught.value)


async def create(service: Any, attempt: str, timeout: float = 300, **facts: Any) -> trajectory_pb2.Trajectory:
    return await service.Create(pb.CreateRequest(attempt_id=attempt, **{"task_id": TASK, **facts}), timeout=timeout)


def bash(trajectory_id: str, call_id: str, command: str, **facts: Any) -> pb.ExecuteRequest:
    return pb.ExecuteRequest(trajectory_id=trajectory_id, call_id=call_id, tool="bash", arguments_json=json.dumps({"command": command}), **facts)


def turn(trajectory_id: str, call_id: str, *commands: str, **facts: Any) -> pb.StepRequest:
    calls = [pb.ToolCall(id=f"m{index}", name="bash", arguments_json=json.dumps({"command": command})) for index, command in enumerate(commands)]
    return pb.StepRequest(trajectory_id=trajectory_id, call_id=call_id, calls=pb.ToolCalls(calls=calls), **facts)


async def release(service: Any, *ids: str, **facts: Any) -> pb.ReleaseResponse:
    return await service.Release(pb.ReleaseRequest(trajectory_ids=ids, **facts), timeout=300)


def word(enum: Any, number: int) -> str:
    """`STATE_ACTIVE` as "ACTIVE"."""
    return enum.Name(number).removeprefix(enum.Name(0).removesuffix("UNSPECIFIED"))
