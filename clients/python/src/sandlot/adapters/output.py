"""What a program printed, as much as is worth holding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sandlot

#: Of each stream: so much of its begin, and as much of its end. A sandbox can print without end.
_KEPT_BYTES = 4 << 20


class Output:
    """Both streams and the ending of one program."""

    def __init__(self, streams: dict[str, _Stream], result: sandlot.ExecResult) -> None:
        self._streams = streams
        self.timed_out = result.kind == "TIMED_OUT"
        self.timeout_s = result.timeout_ms / 1000
        self.code = result.exit_code if result.exit_code is not None else 128 + result.signal
        self._note = result.note

    @property
    def stdout(self) -> str:
        return self._streams["stdout"].text

    @property
    def stderr(self) -> str:
        return self._streams["stderr"].text + self._note

    @property
    def text(self) -> str:
        return self.stdout + self.stderr


async def output_of(sandbox: sandlot.Sandbox, argv: Sequence[str], **options: Any) -> Output:
    """Runs a program to its end; `options` are those of `Sandbox.exec_stream`."""
    streams = {"stdout": _Stream(), "stderr": _Stream()}
    seen, last = 0, "stdout"
    async for event in sandbox.exec_stream(argv, **options):
        if event.kind in streams:
            last = event.kind
            streams[last].skip(event.offset - seen)  # of a program that prints faster than it is read
            streams[last].add(event.data)
            seen = event.offset + len(event.data)
        elif event.result is not None:
            streams[last].skip(event.result.output_bytes - seen)
            return Output(streams, event.result)
    raise RuntimeError("the stream ended without a result")


class _Stream:
    """Head and tail; what is between them is counted."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def add(self, data: bytes) -> None:
        room = 0 if self._dropped else _KEPT_BYTES - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * _KEPT_BYTES:
            self._drop(len(self._tail) - _KEPT_BYTES)

    def skip(self, count: int) -> None:
        """So many bytes are not to be had."""
        if count > 0:
            self._dropped += count
            self._drop(len(self._tail))

    @property
    def text(self) -> str:
        self._drop(max(0, len(self._tail) - _KEPT_BYTES))
        gap = f"\n[... {self._dropped} bytes left out here ...]\n".encode() if self._dropped else b""
        return bytes(self._head + gap + self._tail).decode("utf-8", "backslashreplace")

    def _drop(self, count: int) -> None:
        del self._tail[:count]
        self._dropped += count
