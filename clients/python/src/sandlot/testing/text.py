"""What a turn asks for and answers: tool calls, in the text of a message too, and chat messages."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from .._gen import rollout_service_pb2, trajectory_pb2
from ..errors import InvalidError, UnsupportedError

FORMATS = ("hermes",)
_ELSEWHERE = (
    "qwen3_coder",
    "llama3_json",
    "mistral",
    "deepseek",
    "glm",
    "kimi",
    "gpt-oss",
    "mini-swe-agent",
    "r2e",
)
_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)


def asked(request: rollout_service_pb2.StepRequest) -> tuple[list[rollout_service_pb2.ToolCall], str]:
    """The calls of a turn, or in words for the policy why they cannot be read; then none of them counts."""
    action = request.WhichOneof("action")
    if action == "calls":
        return list(request.calls.calls), ""
    if action != "text":
        raise InvalidError("calls: expected what the assistant did, got nothing", field="calls")
    if request.format in _ELSEWHERE:
        raise UnsupportedError(f"format: this fake reads hermes only, got {request.format!r}", field="format")
    if request.format not in FORMATS:
        text = f"format: expected one of {', '.join(FORMATS)}, got {request.format!r:.100}"
        raise InvalidError(text, field="format")
    return _hermes(request.text)


def object_of(arguments: str) -> Mapping[str, Any]:
    """Empty for what is no JSON object."""
    try:
        found = json.loads(arguments)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def tool_message(call: rollout_service_pb2.ToolCall, text: str) -> trajectory_pb2.ChatMessage:
    return trajectory_pb2.ChatMessage(role="tool", content=text, tool_call_id=call.id, name=call.name)


def user_message(text: str) -> trajectory_pb2.ChatMessage:
    return trajectory_pb2.ChatMessage(role="user", content=text)


def _hermes(text: str) -> tuple[list[rollout_service_pb2.ToolCall], str]:
    _, thinking, after = text.rpartition("</think>")
    if not thinking and text.lstrip().startswith("<think>"):
        return [], "Nothing was run: the message ends before its reasoning does."
    calls = []
    for number, inside in enumerate(_CALL.findall(after)):
        one = _call(inside, number)
        if isinstance(one, str):
            return [], f"Nothing was run: tool call {number + 1} cannot be read: {one}."
        calls.append(one)
    return calls, ""


def _call(text: str, number: int) -> rollout_service_pb2.ToolCall | str:
    try:
        value = json.loads(text)
    except ValueError as problem:
        return f'expected a JSON object with "name" and "arguments", got text that is not JSON: {problem}'
    if not isinstance(value, dict):
        return 'expected a JSON object with "name" and "arguments", got another JSON value'
    name, given = value.get("name"), value.get("arguments", value.get("parameters", {}))
    if not isinstance(name, str) or not name.strip():
        return 'expected "name" to be the name of a tool'
    arguments = given if isinstance(given, str) else json.dumps(given)
    return rollout_service_pb2.ToolCall(id=f"call_{number}", name=name.strip(), arguments_json=arguments)
