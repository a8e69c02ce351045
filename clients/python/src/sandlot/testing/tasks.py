"""Tasks of the fake: what their files are, and when they are solved."""

from __future__ import annotations

import asyncio
import difflib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .._gen import grade_pb2, rollout_service_pb2, trajectory_pb2

WORKDIR = "/testbed"
TOOLS = ("bash", "str_replace_editor", "submit_solution")
_PARAMETERS = {
    "bash": {"command": {"type": "string"}},
    "str_replace_editor": {
        **{name: {"type": "string"} for name in ("command", "path", "file_text", "old_str", "new_str", "view_range")},
        "insert_line": {"type": "integer"},
    },
    "submit_solution": {},
}


def _never(files: Mapping[str, str]) -> bool:
    return False


@dataclass(frozen=True)
class FakeTask:
    """`solves` gets the files of the repository as an attempt left them, by their path in it."""

    id: str
    files: Mapping[str, str] = field(default_factory=lambda: {"README.md": "A repository.\n"})
    instruction: str = "Do it."
    solves: Callable[[Mapping[str, str]], bool] = _never
    grade_s: float = 0.0
    """How long its tests take."""

    def wire(self) -> rollout_service_pb2.Task:
        """As GetTask tells it."""
        return rollout_service_pb2.Task(
            id=self.id,
            dataset="fake",
            repo="fake/repository",
            language="python",
            playable=True,
            workdir=WORKDIR,
            instruction=self.instruction,
            messages=self.messages(),
            tools=[tool_schema(name) for name in TOOLS],
        )

    def messages(self) -> list[trajectory_pb2.ChatMessage]:
        return [trajectory_pb2.ChatMessage(role="user", content=self.instruction)]

    def tree(self) -> dict[str, bytes]:
        """Its files, by where they lie in the sandbox."""
        inside = {f"{WORKDIR}/{path}": text.encode() for path, text in self.files.items()}
        return {"/etc/hostname": b"fake\n", **inside}

    async def judge(self, tree: Mapping[str, bytes]) -> grade_pb2.Grade:
        """The grade of a sandbox's files."""
        inside = f"{WORKDIR}/"
        files = {
            path.removeprefix(inside): data.decode("utf-8", "replace")
            for path, data in tree.items()
            if path.startswith(inside)
        }
        grade = grade_pb2.Grade(
            id=uuid.uuid4().hex,
            validity=grade_pb2.VALIDITY_VALID,
            assurance=grade_pb2.Assurance(level=grade_pb2.ASSURANCE_LEVEL_RULE_ONLY),
            patch=_diff(self.files, files),
        )
        if not grade.patch:
            grade.outcome, grade.reward = grade_pb2.OUTCOME_EMPTY_PATCH, 0
            return grade
        await asyncio.sleep(self.grade_s)
        solved = self.solves(files)
        grade.outcome = grade_pb2.OUTCOME_RESOLVED if solved else grade_pb2.OUTCOME_UNRESOLVED
        grade.reward = float(solved)
        return grade


def tool_schema(name: str) -> trajectory_pb2.ToolSchema:
    shape = {"type": "object", "properties": _PARAMETERS[name]}
    function = {"name": name, "description": name, "parameters": shape}
    return trajectory_pb2.ToolSchema(name=name, openai_json=json.dumps({"type": "function", "function": function}))


def _diff(before: Mapping[str, str], after: Mapping[str, str]) -> bytes:
    lines: list[str] = []
    for path in sorted({*before, *after}):
        old, new = before.get(path, ""), after.get(path, "")
        if old != new:
            lines += difflib.unified_diff(old.splitlines(True), new.splitlines(True), f"a/{path}", f"b/{path}")
    return "".join(lines).encode()
