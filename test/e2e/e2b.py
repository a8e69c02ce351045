"""The E2B test server as a process, and the configuration that has a server use it."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from backends import ISOLATED, leave_out
from server import ROOT

NEEDS_ROOT = "the E2B test server makes name spaces and mounts, which needs root"


class E2bServer:
    """`test/support/e2b/main.ts`: its image `host:latest` is this machine's system folders. Ended with the block."""

    def __init__(self, *arguments: str) -> None:
        if not ISOLATED:
            leave_out("e2b", NEEDS_ROOT)
        command = ["scripts/node", "test/support/e2b/main.ts", *arguments]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        told = self._read()
        self.url: str = told["url"]
        self.environment = {"E2B_API_KEY": str(told["apiKey"])}
        """What the server of the test needs beside its configuration."""

    def config(self, **changes: object) -> str:
        """The lines of a server's configuration."""
        backend = {"type": "e2b", "api_url": self.url, "sandbox_url": self.url, "host_image": "host:latest", "max_sandboxes": 40, "creates_per_s": 40, "template_memory_mib": 2048, **changes}
        return f"backend: {json.dumps(backend)}\n"

    def ask(self, what: str) -> Any:
        """`requests`, `sandboxes` or `builds`."""
        return self._say({"ask": what})

    def fault(self, at: str, times: int = 1, **what: object) -> None:
        """See test/support/e2b/faults.ts; `at` matches `METHOD /path`."""
        self._say({"at": at, "times": times, **what})

    def __enter__(self) -> E2bServer:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=300)

    def _say(self, message: dict[str, object]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + os.linesep)
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the E2B test server ended"
        return json.loads(line)
