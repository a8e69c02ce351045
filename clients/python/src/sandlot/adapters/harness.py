"""What the adapters of agent harnesses take by name: one strict set of keys for those that speak pydantic."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from .held import Wanted


class HarnessSettings(BaseModel):
    """Which sandbox, where. An unknown key is an error. Each adapter adds where its token comes from."""

    model_config = ConfigDict(extra="forbid")

    task_id: str = ""
    image: str = ""
    """In place of a task: a bare sandbox from this container image, without a grade."""
    server: str = "127.0.0.1:50051"
    tls: dict[str, str] = {}
    """By the names of `sandlot.Tls`."""
    graded: bool = True
    """A trajectory, with a grade. False: a bare sandbox with the environment of the task and no grade."""
    pool: str = ""
    labels: dict[str, str] = {}
    limits: dict[str, int] = {}
    """By the names of `sandlot.Limits`."""
    command_timeout_s: float = 3600.0
    """Of a command that comes without a time-out: harnesses would wait for ever."""
    patience_s: float = 600.0
    """How long the server may be out of reach."""
    create_deadline_s: float = 3600.0

    def wanted(self, token: str | None, **labels: str) -> Wanted:
        """`labels` are the adapter's own; those of the settings go over them."""
        shared: dict[str, Any] = {name: getattr(self, name) for name in HarnessSettings.model_fields}
        del shared["command_timeout_s"]
        return Wanted(**{**shared, "token": token, "labels": {**labels, **self.labels}})
