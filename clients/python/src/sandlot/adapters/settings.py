"""What a trainer's adapter is told, in YAML or as keyword arguments: one strict set of keys for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sandlot._tls import parsed
from sandlot.errors import InvalidError


@dataclass(frozen=True)
class Settings:
    """The keys of the block `sandlot` in `agent_loop.yaml`. An unknown key or a value that does not fit is an error."""

    server: str = "127.0.0.1:50051"
    """HOST:PORT of the server, as the rollout workers reach it; grpcs://HOST:PORT where it speaks TLS."""
    token: str | None = None
    tls: Mapping[str, str] = field(default_factory=dict)
    """By the names of `sandlot.Tls`; else what `SANDLOT_TLS_CA_FILE` and the like name where the workers run."""
    pool: str = ""
    """The server's pool; empty = its default."""
    retries: int = 2
    """How often an attempt that the infrastructure spoiled is made again, on a new trajectory."""
    on_failure: str = "raise"
    """What then becomes of the sample where the trainer cannot drop it: "raise", or "zero" (reward 0, counted)."""
    grade_unsubmitted: bool = False
    """Whether the work of a policy that never submits is graded as it stands. False: its reward is 0."""
    patience_s: float = 600.0
    """How long the server may be out of reach."""
    create_deadline_s: float = 3600.0
    """How long a trajectory may wait for a place."""
    lease_ms: int = 0
    """How long a trajectory lives without hearing from its worker; 0 = the server's default."""
    submit_feedback: str = "none"
    limits: Mapping[str, int] = field(default_factory=dict)
    """By the names of `sandlot.Limits`."""
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, block: Mapping[str, Any], where: str) -> Settings:
        """From YAML; `where` names the place in errors."""
        known = {one.name: one for one in fields(cls)}
        for key in block:
            if key not in known:
                raise ValueError(f"{where}: expected the keys {', '.join(known)}, got {key!r}")
        settings = cls(**{key: value for key, value in block.items() if value is not None})
        settings._check(where)
        return settings

    def _check(self, where: str) -> None:
        if self.on_failure not in ("raise", "zero"):
            raise ValueError(f'{where}.on_failure: expected "raise" or "zero", got {self.on_failure!r}')
        try:
            parsed(self.server)
        except InvalidError:
            raise ValueError(f'{where}.server: expected "HOST:PORT", got {self.server!r}') from None
        for name in ("retries", "lease_ms", "patience_s", "create_deadline_s"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
                raise ValueError(f"{where}.{name}: expected a number from 0 on, got {value!r}")
        if not isinstance(self.grade_unsubmitted, bool):
            raise ValueError(f"{where}.grade_unsubmitted: expected true or false, got {self.grade_unsubmitted!r}")
        for name in ("tls", "limits", "labels"):
            if not isinstance(getattr(self, name), Mapping):
                raise ValueError(f"{where}.{name}: expected keys with values, got {getattr(self, name)!r}")
