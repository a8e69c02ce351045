"""SWE-ReX's calls on a sandbox."""

from __future__ import annotations

import asyncio
import io
import math
import posixpath
from collections.abc import Sequence
from typing import Any

from swerex.exceptions import (
    BashIncorrectSyntaxError,
    CommandTimeoutError,
    NonZeroExitCodeError,
    SessionDoesNotExistError,
    SessionExistsError,
)
from swerex.runtime import abstract as rex

import sandlot

from ..held import Held
from ..output import Output, output_of
from ..session import Session, SyntaxFault
from ..transfer import upload

# A shell and its start-up files may have to wait for a busy host: SWE-ReX's default of 1 s is for a machine of one's own.
_STARTUP_S = 30.0


class SandlotRuntime(rex.AbstractRuntime):  # type: ignore[misc,unused-ignore]
    """
    Made by `SandlotDeployment`. Relative paths begin at the repository. There is no terminal: what asks for one
    (`is_interactive_command`, `expect`) raises NotImplementedError.
    """

    def __init__(self, held: Held, command_timeout_s: float) -> None:
        self._client = held.client
        self._sandbox = held.sandbox
        self._held = held
        self._workdir = held.workdir
        self._command_timeout_s = command_timeout_s
        self._sessions: dict[str, Session] = {}

    async def is_alive(self, *, timeout: float | None = None) -> rex.IsAliveResponse:
        asked = self._held.background.run(self._client.get_trajectory(self._sandbox.id))
        try:
            summary = await asyncio.wait_for(asked, timeout)
        except (asyncio.TimeoutError, sandlot.SandlotError) as error:
            return rex.IsAliveResponse(is_alive=False, message=str(error) or f"no answer within {timeout:g} s")
        alive = summary.state == "ACTIVE"
        message = "" if alive else f"the sandbox is {summary.state.lower()}: {summary.ending or 'it was submitted'}"
        return rex.IsAliveResponse(is_alive=alive, message=message)

    async def create_session(self, request: rex.CreateBashSessionRequest) -> rex.CreateBashSessionResponse:
        if request.session in self._sessions:
            raise SessionExistsError(f"session {request.session} already exists")
        session = Session(self._sandbox, self._workdir)
        timeout_ms = self._ms(max(request.startup_timeout, _STARTUP_S))
        output = await self._held.watched(session.start(request.startup_source, timeout_ms))
        _check_time(output, "the start-up files")
        self._sessions[request.session] = session
        return rex.CreateBashSessionResponse(output=output.text)

    async def run_in_session(self, action: rex.BashAction | rex.BashInterruptAction) -> rex.BashObservation:
        """
        A command past its time-out is ended with all its processes, and the session is as it was before it; so an interrupt
        finds nothing left to do but for commands that another task runs.
        """
        session = self._session(action.session)
        if isinstance(action, rex.BashInterruptAction):
            await self._held.watched(session.interrupt())
            return rex.BashObservation(exit_code=0)
        if action.is_interactive_command or action.is_interactive_quit or action.expect:
            raise NotImplementedError("interactive commands: a session of a Sandlot sandbox has no terminal")
        try:
            output = await self._held.watched(session.run(action.command, self._ms(action.timeout)))
        except SyntaxFault as error:
            facts = {"bash_stdout": "", "bash_stderr": str(error)}
            message = f"Error while checking bash command \n{action.command!r}\n---- Stderr ----\n{error}"
            raise BashIncorrectSyntaxError(message, extra_info=facts) from None
        _check_time(output, repr(action.command))
        if action.check == "raise":
            _check_code(output, action.command, action.error_msg)
        return rex.BashObservation(output=output.text, exit_code=None if action.check == "ignore" else output.code)

    async def close_session(self, request: rex.CloseBashSessionRequest) -> rex.CloseBashSessionResponse:
        await self._held.watched(self._session(request.session).close())
        del self._sessions[request.session]
        return rex.CloseBashSessionResponse()

    async def execute(self, command: rex.Command) -> rex.CommandResponse:
        """Like `subprocess.run`, but that a program that does not exist has the exit code 127."""
        folder = self._path(command.cwd or "")
        timeout_ms = self._ms(command.timeout)
        output = await self._held.watched(
            output_of(self._sandbox, _argv(command), workdir=folder, timeout_ms=timeout_ms)
        )
        _check_time(output, repr(command.command))
        if command.check:
            _check_code(output, command.command, command.error_msg)
        return rex.CommandResponse(stdout=output.stdout, stderr=output.stderr, exit_code=output.code)

    async def read_file(self, request: rex.ReadFileRequest) -> rex.ReadFileResponse:
        """Text as `Path.read_text` reads it; of at most 64 MiB."""
        data = await self._held.watched(self._sandbox.read_file(self._path(request.path)))
        text = io.TextIOWrapper(io.BytesIO(data), encoding=request.encoding or "utf-8", errors=request.errors)
        return rex.ReadFileResponse(content=text.read())

    async def write_file(self, request: rex.WriteFileRequest) -> rex.WriteFileResponse:
        await self._held.watched(self._sandbox.write_file(self._path(request.path), request.content))
        return rex.WriteFileResponse()

    async def upload(self, request: rex.UploadRequest) -> rex.UploadResponse:
        """A file, or a folder with all in it, over what is there. Together at most 60 MiB."""
        target = self._path(request.target_path)
        await self._held.watched(upload(self._sandbox, request.source_path, target))
        return rex.UploadResponse()

    async def close(self) -> rex.CloseResponse:
        """Closes the sessions; the deployment releases the sandbox."""
        for name in list(self._sessions):
            await self.close_session(rex.CloseBashSessionRequest(session=name))
        return rex.CloseResponse()

    def _session(self, name: str) -> Session:
        if name not in self._sessions:
            raise SessionDoesNotExistError(f"session {name!r} does not exist")
        return self._sessions[name]

    def _ms(self, timeout_s: float | None) -> int:
        return max(1, math.ceil(1000 * (self._command_timeout_s if timeout_s is None else timeout_s)))

    def _path(self, path: str) -> str:
        return posixpath.join(self._workdir, path)


def _argv(command: rex.Command) -> list[str]:
    """As `subprocess` reads `command`, `shell` and `env`."""
    words: Sequence[str] = [command.command] if isinstance(command.command, str) else command.command
    argv = ["sh", "-c", *words] if command.shell else list(words)
    if command.env is not None:
        argv = ["env", "-i", *(f"{name}={value}" for name, value in command.env.items()), *argv]
    return ["sh", "-c", 'exec "$@" 2>&1', "sh", *argv] if command.merge_output_streams else argv


def _check_time(output: Output, what: str) -> None:
    if output.timed_out:
        raise CommandTimeoutError(f"timeout after {output.timeout_s:g} seconds while running command {what}")


def _check_code(output: Output, command: Any, error_msg: str) -> None:
    if output.code == 0:
        return
    message = f"Command {command!r} failed with exit code {output.code}. Here is the output:\n{output.text!r}"
    raise NonZeroExitCodeError(f"{error_msg}: {message}" if error_msg else message)
