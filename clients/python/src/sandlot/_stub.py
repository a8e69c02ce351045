"""A grpc.aio stub made from the service descriptor: no generated grpc code, which would demand a new grpcio."""

from __future__ import annotations

from typing import Any

from google.protobuf import message_factory
from grpc import aio

from ._gen import rollout_service_pb2

SERVICE = rollout_service_pb2.DESCRIPTOR.services_by_name["RolloutService"]


class Stub:
    """One callable per rpc, named as in the proto: `await stub.Execute(request, timeout=5)`."""

    def __init__(self, channel: aio.Channel) -> None:
        for method in SERVICE.methods:
            call = channel.unary_stream if method.server_streaming else channel.unary_unary
            rpc = call(
                f"/{SERVICE.full_name}/{method.name}",
                request_serializer=message_factory.GetMessageClass(method.input_type).SerializeToString,
                response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
            )
            setattr(self, method.name, rpc)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{SERVICE.full_name} has no rpc {name}")
