"""A grpc.aio stub made from the service descriptor: no generated grpc code, which would demand a new grpcio."""

from __future__ import annotations

from typing import Any

from google.protobuf import message_factory
from grpc import aio

from ._gen import rollout_service_pb2, sandbox_service_pb2

SERVICE = rollout_service_pb2.DESCRIPTOR.services_by_name["RolloutService"]
SANDBOX_SERVICE = sandbox_service_pb2.DESCRIPTOR.services_by_name["SandboxService"]


class Stub:
    """One callable per rpc, named as in the proto: `await stub.Execute(request, timeout=5)`."""

    def __init__(self, channel: aio.Channel) -> None:
        for method in (*SERVICE.methods, *SANDBOX_SERVICE.methods):
            kinds = {
                (False, False): channel.unary_unary,
                (False, True): channel.unary_stream,
                (True, False): channel.stream_unary,
            }
            rpc = kinds[method.client_streaming, method.server_streaming](
                f"/{method.containing_service.full_name}/{method.name}",
                request_serializer=message_factory.GetMessageClass(method.input_type).SerializeToString,
                response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
            )
            setattr(self, method.name, rpc)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"neither {SERVICE.full_name} nor {SANDBOX_SERVICE.full_name} has an rpc {name}")
