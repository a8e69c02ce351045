"""Messages of the wire as plain values."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any, TypeAlias

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.timestamp_pb2 import Timestamp

from ._gen import trajectory_pb2

Message: TypeAlias = dict[str, str]
"""A chat message: role and content, and with role "tool" also tool_call_id and name."""


def scalars(wire: Any) -> dict[str, Any]:
    """The fields of a message that are neither messages, maps nor lists, by name."""
    values = {field.name: getattr(wire, field.name) for field in wire.DESCRIPTOR.fields if field.message_type is None}
    return {name: value for name, value in values.items() if isinstance(value, (bool, int, float, str, bytes))}


def word(enum: EnumTypeWrapper, number: int) -> str:
    """`VALIDITY_VALID` as "VALID"; a number of a newer server as its digits."""
    if number not in enum.values():
        return str(number)
    return enum.Name(number).removeprefix(enum.Name(0).removesuffix("UNSPECIFIED"))


def optional(wire: Any, field: str) -> Any:
    return getattr(wire, field) if wire.HasField(field) else None


def when(wire: Any, field: str) -> datetime | None:
    stamp: Timestamp = getattr(wire, field)
    return stamp.ToDatetime(tzinfo=timezone.utc) if wire.HasField(field) else None


def messages(wire: Any) -> list[Message]:
    def plain(message: trajectory_pb2.ChatMessage) -> Message:
        extra = {"tool_call_id": message.tool_call_id, "name": message.name}
        return {"role": message.role, "content": message.content, **{k: v for k, v in extra.items() if v}}

    return [plain(message) for message in wire]


def tools(wire: Any) -> list[dict[str, Any]]:
    return [json.loads(tool.openai_json) for tool in wire]
