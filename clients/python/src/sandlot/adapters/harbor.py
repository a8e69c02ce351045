"""
Sandlot as an environment of Harbor 0.24: `environment: { import_path: "sandlot.adapters.harbor:SandlotEnvironment" }`, and a
verifier whose reward is the verdict: `verifier: { import_path: "sandlot.adapters.harbor:SandlotVerifier" }`.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import os
import posixpath
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

from harbor.environments.base import BaseEnvironment, ExecResult, transfer_tar_filter
from harbor.environments.capabilities import EnvironmentCapabilities
from harbor.models.verifier.result import VerifierResult
from harbor.verifier.base import BaseVerifier

import sandlot

from .harness import HarnessSettings
from .held import Held, hold
from .output import output_of
from .transfer import download_folder, upload


class SandlotEnvironmentConfig(HarnessSettings):
    """
    The block `environment.kwargs`. An unknown key is an error; a token comes from `token_variable`. Without `task_id` and `image` the
    task is that of the name of Harbor's, without its organisation; an image is for a verifier of Harbor's own. `limits` are
    in place of what Harbor's task says of processors and memory.
    """

    token_variable: str = "SANDLOT_TOKEN"
    """Of the environment: Harbor writes configurations into its results, and a token is not for them."""


_HARBORS = frozenset(inspect.signature(BaseEnvironment.__init__).parameters)


class SandlotEnvironment(BaseEnvironment):  # type: ignore[misc,unused-ignore]
    """
    From `start` to `stop` one sandbox, with the environment that the server has for the task: Harbor's own Dockerfile is not
    built. An error of the infrastructure leaves every call after it, so that no reward comes of such a trial.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._settings = SandlotEnvironmentConfig(**{key: kwargs.pop(key) for key in kwargs.keys() - _HARBORS})
        self._held: Held | None = None
        super().__init__(*args, **kwargs)

    @staticmethod
    def type() -> str:
        return "sandlot"

    @property
    def capabilities(self) -> EnvironmentCapabilities:
        return EnvironmentCapabilities(disable_internet=True)

    def _validate_definition(self) -> None:
        if self._network_is_public:
            raise ValueError(
                "a Sandlot sandbox has no network: expected network_mode = 'no-network' in [environment] of task.toml, "
                "got 'public'"
            )

    async def start(self, force_build: bool) -> None:
        named = "" if self._settings.image else self.environment_name.rpartition("/")[2]
        task_id = self._settings.task_id or named
        token = os.environ.get(self._settings.token_variable)
        self._held = await hold(replace(self._settings.wanted(token, harbor=self.session_id), task_id=task_id))
        await self.ensure_dirs(self._mount_targets(writable_only=True))

    async def stop(self, delete: bool) -> None:
        """Releases the sandbox, whatever `delete` says. Idempotent; a server out of reach does it when the lease is over."""
        held, self._held = self._held, None
        if held is not None:
            await held.release()

    async def submit(self) -> sandlot.Grade:
        """Grades the work tree as it is. Its `reward` is None without a valid verdict."""
        return await self.held.submit()

    async def exec(
        self,
        command: str,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        timeout_sec: int | None = None,
        user: str | int | None = None,
    ) -> ExecResult:
        """As Harbor's own environments, a time-out is a RuntimeError; all processes of the command are ended."""
        who = self._resolve_user(user)
        if who not in (None, "root", 0, "0"):
            raise ValueError(f"user: expected root, whose sandbox it is, got {who!r}")
        timeout_s = timeout_sec or self._settings.command_timeout_s
        output = await self.held.watched(
            output_of(
                self.held.sandbox,
                ["bash", "-c", command],
                env=self._merge_env(env),
                workdir=self._path(cwd or self.task_env_config.workdir or ""),
                timeout_ms=math.ceil(1000 * timeout_s),
            )
        )
        if output.timed_out:
            raise RuntimeError(f"Command timed out after {timeout_s:g} seconds")
        return ExecResult(stdout=output.stdout, stderr=output.stderr, return_code=output.code)

    async def upload_file(self, source_path: Path | str, target_path: str) -> None:
        data, mode = await asyncio.to_thread(_read, Path(source_path))
        await self.held.watched(self.held.sandbox.write_file(self._path(target_path), data, mode=mode))

    async def upload_dir(self, source_dir: Path | str, target_dir: str) -> None:
        await self.held.watched(upload(self.held.sandbox, source_dir, self._path(target_dir)))

    async def download_file(self, source_path: str, target_path: Path | str) -> None:
        data = await self.held.watched(self.held.sandbox.read_file(self._path(source_path)))
        await asyncio.to_thread(_write, Path(target_path), data)

    async def download_dir(self, source_dir: str, target_dir: Path | str) -> None:
        source = self._path(source_dir)
        await self.held.watched(download_folder(self.held.sandbox, source, target_dir, transfer_tar_filter))

    @property
    def held(self) -> Held:
        if self._held is None:
            raise RuntimeError("the environment is not started")
        return self._held

    def _path(self, path: str) -> str:
        return posixpath.join(self.held.workdir, path)


def _read(path: Path) -> tuple[bytes, int]:
    """What is in a file, and its mode."""
    return path.read_bytes(), stat.S_IMODE(path.stat().st_mode)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


class SandlotVerifier(BaseVerifier):  # type: ignore[misc,unused-ignore]
    """The verdict of the server on the agent's work tree. Raises where there is no valid one: the trial has no reward."""

    async def verify(self) -> VerifierResult:
        if not isinstance(self.environment, SandlotEnvironment) or "__verifier__" in self.environment.session_id:
            raise RuntimeError("SandlotVerifier: expected the agent's own SandlotEnvironment, got another environment")
        grade = await self.environment.submit()
        if grade.reward is None:
            raise RuntimeError(f"no reward for {grade.id}: {grade.validity}: {grade.reason}")
        return VerifierResult(rewards={"reward": grade.reward})
