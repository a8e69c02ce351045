"""A sandbox as a harness uses it: programs and files, beside the steps of a policy or without any."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ._calls import SLACK_S, Calls
from ._gen import rollout_service_pb2, trajectory_pb2
from ._gen import sandbox_service_pb2 as pb
from ._wire import optional, word
from .errors import InvalidError

_FILE_S = 600.0
_CHUNK_BYTES = 1 << 20
MOST_READ_BYTES = 64 << 20
"""What `read_file` reads unless it is told otherwise: a sandbox can make files that have no end."""
MOST_HELD_BYTES = 64 << 20
"""What `exec` holds of each stream unless it is told otherwise: a program can print without end."""


@dataclass(frozen=True)
class ExecResult:
    """What became of a program: one that ran is a result, whatever its exit code."""

    exit_code: int | None
    """None when a signal ended it."""
    signal: int
    kind: str
    """"OK", "TIMED_OUT" or "INTERRUPTED"."""
    stdout: bytes
    stderr: bytes
    output_bytes: int
    truncated: bool
    """Something that it printed is in neither `stdout` nor `stderr`."""
    oom_kills: int
    duration_ms: int
    timeout_ms: int
    note: str
    """Why it could not be started or watched, when processes of the sandbox are the cause."""
    replayed: bool

    @property
    def text(self) -> str:
        """Both streams, `stdout` first."""
        return (self.stdout + self.stderr).decode("utf-8", "replace")


@dataclass(frozen=True)
class ExecEvent:
    """Something happened while a program ran."""

    kind: str
    """"stdout", "stderr", "progress" or "result"."""
    offset: int
    data: bytes
    result: ExecResult | None
    """With kind "result"; without the output, which the events before it brought."""


class Sandbox:
    """
    The sandbox of a live trajectory: `trajectory.sandbox`, or `client.sandbox_of(id)`. Calls are repeated with the
    same id until the server answers: no program is started twice. A server offers them by `sandbox_service.enabled`.
    """

    def __init__(self, calls: Calls, trajectory_id: str, command_ms: int) -> None:
        self._calls = calls
        self._id = trajectory_id
        self._command_ms = command_ms

    @property
    def id(self) -> str:
        """Of its trajectory."""
        return self._id

    async def exec(
        self,
        argv: Sequence[str] | str,
        *,
        env: Mapping[str, str] | None = None,
        workdir: str = "",
        stdin: bytes | str = b"",
        timeout_ms: int = 0,
        no_output_ms: int = 0,
        keep_bytes: int = 0,
        call_id: str | None = None,
        on_output: Callable[[ExecEvent], object] | None = None,
        max_bytes: int = MOST_HELD_BYTES,
    ) -> ExecResult:
        """
        Runs a program to its end; a string is a line for `bash -c`. Of each stream the last `max_bytes` come back, and
        `truncated` says that there was more; `on_output` hears of all of it as it comes. Leaving the call does not end
        the program: `interrupt(call_id)`, its time-out and the lease do.
        """
        if max_bytes < 1:
            raise InvalidError(f"max_bytes: expected a number from 1 on, got {max_bytes}", field="max_bytes")
        output = {"stdout": bytearray(), "stderr": bytearray()}
        seen, whole = 0, True
        events = self.exec_stream(
            argv,
            env=env,
            workdir=workdir,
            stdin=stdin,
            timeout_ms=timeout_ms,
            no_output_ms=no_output_ms,
            keep_bytes=keep_bytes,
            call_id=call_id,
        )
        async for event in events:
            if event.kind in output:
                whole = whole and event.offset == seen
                seen = event.offset + len(event.data)
                held = output[event.kind]
                held += event.data
                if len(held) > 2 * max_bytes:
                    whole = False
                    del held[:-max_bytes]
                if on_output is not None:
                    on_output(event)
            elif event.result is not None:
                whole = whole and seen >= event.result.output_bytes and max(map(len, output.values())) <= max_bytes
                stdout, stderr = bytes(output["stdout"][-max_bytes:]), bytes(output["stderr"][-max_bytes:])
                return replace(event.result, stdout=stdout, stderr=stderr, truncated=not whole)
        raise RuntimeError("the stream ended without a result")

    async def exec_stream(
        self,
        argv: Sequence[str] | str,
        *,
        env: Mapping[str, str] | None = None,
        workdir: str = "",
        stdin: bytes | str = b"",
        timeout_ms: int = 0,
        no_output_ms: int = 0,
        keep_bytes: int = 0,
        call_id: str | None = None,
    ) -> AsyncIterator[ExecEvent]:
        """The same with live output; goes on where it was after a cut. The last event has the result."""
        request = pb.ExecRequest(
            trajectory_id=self.id,
            call_id=call_id or uuid.uuid4().hex,
            argv=["bash", "-c", argv] if isinstance(argv, str) else list(argv),
            env=dict(env or {}),
            workdir=workdir,
            stdin=stdin.encode() if isinstance(stdin, str) else stdin,
            timeout_ms=timeout_ms,
            no_output_ms=no_output_ms,
            keep_bytes=keep_bytes,
        )
        deadline_s = (timeout_ms or self._command_ms) / 1000 + SLACK_S
        async for wire in self._calls.stream("Exec", lambda: request, deadline_s=deadline_s):
            event = _event(wire)
            request.from_offset = max(request.from_offset, event.offset + len(event.data))
            yield event

    async def read_file(self, path: str, *, offset: int = 0, max_bytes: int = 0) -> bytes:
        """
        The bytes of a file, from `offset` on, at most `max_bytes`. Raises FileNotFoundError, IsADirectoryError,
        PermissionError, or OSError for what is no file, and for more than 64 MiB when `max_bytes` is 0.
        """
        chunks = await self._read(path, offset, max_bytes)
        kind = word(pb.FileType, chunks[0].type)
        if kind != "FILE":
            number = _ERRNO.get(kind, errno.EINVAL)
            raise OSError(number, os.strerror(number), path)
        return b"".join(chunk.data for chunk in chunks)

    async def list_folder(self, path: str) -> list[str]:
        """The names in a folder, those of folders with a slash at the end."""
        chunks = await self._read(path, 0, MOST_READ_BYTES)
        kind = word(pb.FileType, chunks[0].type)
        if kind != "DIRECTORY":
            number = errno.ENOTDIR if kind in ("FILE", "OTHER") else _ERRNO.get(kind, errno.EINVAL)
            raise OSError(number, os.strerror(number), path)
        return b"".join(chunk.data for chunk in chunks).decode("utf-8", "surrogateescape").splitlines()

    async def write_file(
        self, path: str, data: bytes | str, *, mode: int | None = None, call_id: str | None = None
    ) -> None:
        """
        Writes a whole file of at most 64 MiB; missing folders are made. Raises an OSError of the kind that the
        sandbox's system gave.
        """
        raw = data.encode() if isinstance(data, str) else data
        call_id = call_id or uuid.uuid4().hex

        def chunks() -> Iterator[pb.FileChunk]:
            first = raw[:_CHUNK_BYTES]
            yield pb.FileChunk(trajectory_id=self.id, call_id=call_id, path=path, mode=mode, data=first)
            for at in range(_CHUNK_BYTES, len(raw), _CHUNK_BYTES):
                yield pb.FileChunk(data=raw[at : at + _CHUNK_BYTES])

        answer = await self._calls.upload("WriteFile", chunks, deadline_s=_FILE_S)
        if answer.failure:
            raise OSError(_errno_of(answer.failure), answer.failure, path)

    async def interrupt(self, call_id: str) -> None:
        """Ends the program of that call, and its whole process tree."""
        request = rollout_service_pb2.InterruptRequest(trajectory_id=self.id, call_id=call_id)
        await self._calls.unary("Interrupt", request)

    async def _read(self, path: str, offset: int, max_bytes: int) -> list[pb.FileChunk]:
        """All chunks, at least one."""
        most = max_bytes or MOST_READ_BYTES
        request = pb.ReadFileRequest(trajectory_id=self.id, path=path, offset=offset, max_bytes=max_bytes)
        chunks: list[pb.FileChunk] = []
        got = 0
        async for chunk in self._calls.stream("ReadFile", lambda: request, deadline_s=_FILE_S):
            if chunks and chunk.offset != chunks[-1].offset + len(chunks[-1].data):  # after a cut it begins anew
                chunks, got = [], 0
            chunks.append(chunk)
            got += len(chunk.data)
            if got > most:
                raise OSError(errno.EFBIG, f"more than {most} bytes (max_bytes)", path)
        return chunks


_ERRNO = {"MISSING": errno.ENOENT, "DENIED": errno.EACCES, "DIRECTORY": errno.EISDIR, "OTHER": errno.EINVAL}


def _errno_of(words: str) -> int:
    """The system's words back as its number; EIO for words of another kind."""
    return next((number for number in errno.errorcode if os.strerror(number) in words), errno.EIO)


def _event(wire: pb.ExecEvent) -> ExecEvent:
    kind = wire.WhichOneof("event") or "progress"
    data = getattr(wire, kind) if kind in ("stdout", "stderr") else b""
    return ExecEvent(kind, wire.offset, data, _result(wire.result) if kind == "result" else None)


def _result(wire: pb.ExecResult) -> ExecResult:
    return ExecResult(
        exit_code=optional(wire, "exit_code"),
        signal=wire.signal,
        kind=word(trajectory_pb2.ResultKind, wire.kind),
        stdout=b"",
        stderr=b"",
        output_bytes=wire.output_bytes,
        truncated=wire.output_truncated,
        oom_kills=wire.oom_kills,
        duration_ms=wire.duration_ms,
        timeout_ms=wire.timeout_ms,
        note=wire.note,
        replayed=wire.replayed,
    )
