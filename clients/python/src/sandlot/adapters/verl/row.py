"""What a row of the data set, as verl hands it to an agent loop, means here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LABELS = {"global_steps": "step", "uid": "uid", "session_id": "sample", "index": "index"}


@dataclass(frozen=True)
class Row:
    task_id: str
    group: str | None
    """Rollouts of the same prompt in the same step, where verl says so."""
    labels: dict[str, str]
    droppable: bool
    """Whether this trainer can do without the sample: its V1 loop numbers the sessions of a prompt."""

    @classmethod
    def read(cls, row: Mapping[str, Any], run: str) -> Row:
        labels = {label: str(row[name]) for name, label in _LABELS.items() if row.get(name) is not None}
        return cls(
            task_id=task_of(row),
            group=labels.get("uid"),
            labels={"run_id": run, **labels},
            droppable="session_id" in row and "uid" in row,
        )


def task_of(row: Mapping[str, Any]) -> str:
    """The task of a row: `extra_info.task_id`, else a column `task_id`, else that in `tools_kwargs`."""
    extra = row.get("extra_info")
    found = [extra.get("task_id") if isinstance(extra, Mapping) else None, row.get("task_id")]
    tools = row.get("tools_kwargs")
    found += [task_of_tool(tools, name) for name in (tools if isinstance(tools, Mapping) else ())]
    for task_id in found:
        if isinstance(task_id, str) and task_id:
            return task_id
    index = row.get("index", extra.get("index") if isinstance(extra, Mapping) else None)
    raise ValueError(
        f"row {index} of the data set: expected a string `task_id` in the column `extra_info`, got "
        f"{sorted(extra) if isinstance(extra, Mapping) else type(extra).__name__}"
    )


def task_of_tool(tools_kwargs: Any, tool: str) -> str | None:
    """`tools_kwargs[tool].create_kwargs.task_id`. Parquet puts None where rows differ in shape."""
    value = tools_kwargs
    for key in (tool, "create_kwargs", "task_id"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else None
