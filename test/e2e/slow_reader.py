"""How much a server grows while a client takes 100 MiB of output slowly, or stops in the middle. `python test/e2e/slow_reader.py --backend oci|docker|e2b` prints it."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

from conftest import _end_all
from e2b import E2bServer
from engine import Engine
from raw import bash, create, release, stub
from sandlot._gen import sandbox_service_pb2 as sandbox_pb
from sandlot._gen import trajectory_pb2
from server import Server

MIB = 1 << 20
SIZE = 100 * MIB
OFFERED = "sandbox_service: { enabled: true }\n"
PRINTS = f"head -c {SIZE} /dev/zero | tr '\\0' x"
LIMIT_MS = 120_000
STOP_S = 1.5
"""How long the one who stops does so."""


class Growth:
    """The most that a process had in memory beyond what it had at first, in MiB, while the block ran."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._over = threading.Event()
        self._first = self._most = self._rss()
        self._watch = threading.Thread(target=self._look)

    @property
    def mib(self) -> float:
        return self._most - self._first

    def __enter__(self) -> Growth:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self._most = max(self._most, self._rss())

    def _rss(self) -> float:
        return int(self._status.read_text().split("VmRSS:")[1].split()[0]) / 1024


async def slowly(events: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """A little rest after each event."""
    async for event in events:
        yield event
        await asyncio.sleep(0.001)


async def stopping(events: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """A long rest after the first output."""
    first = True
    async for event in events:
        yield event
        if first:
            await asyncio.sleep(STOP_S)
        first = False


Pace = Callable[[AsyncIterator[Any]], AsyncIterator[Any]]
PACES: dict[str, Pace] = {"slowly": slowly, "with a stop": stopping}


async def of_a_step(service: Any, trajectory: str, pace: Pace) -> int:
    """ExecuteStream: how much was printed, as the result tells."""
    request = bash(trajectory, f"step-{uuid4().hex}", PRINTS, timeout_ms=LIMIT_MS)
    told = [event.result.output_bytes async for event in pace(service.ExecuteStream(request)) if event.WhichOneof("event") == "result"]
    return told[0]


async def of_a_program(service: Any, trajectory: str, pace: Pace) -> int:
    """Exec of SandboxService, the same."""
    request = sandbox_pb.ExecRequest(trajectory_id=trajectory, call_id=f"exec-{uuid4().hex}", argv=["bash", "-c", PRINTS], timeout_ms=LIMIT_MS)
    told = [event.result.output_bytes async for event in pace(service.Exec(request)) if event.WhichOneof("event") == "result"]
    return told[0]


async def of_a_file(service: Any, trajectory: str, pace: Pace) -> int:
    """ReadFile: how much came."""
    made = await service.Execute(bash(trajectory, f"made-{uuid4().hex}", f"{PRINTS} > /tmp/large", timeout_ms=LIMIT_MS))
    assert made.kind == trajectory_pb2.RESULT_KIND_OK, made
    chunks = pace(service.ReadFile(sandbox_pb.ReadFileRequest(trajectory_id=trajectory, path="/tmp/large")))
    return sum([len(chunk.data) async for chunk in chunks])


Taken = Callable[[Any, str, Pace], Awaitable[int]]
WAYS: dict[str, Taken] = {"ExecuteStream": of_a_step, "Exec": of_a_program, "ReadFile": of_a_file}


async def growths(server: Server, ways: Collection[str] = WAYS.keys()) -> AsyncIterator[tuple[str, int, float]]:
    """Of each way and pace: what it is, the bytes that were told or came, and by how many MiB the server grew."""
    assert server.process is not None
    async with stub(server) as service:
        made = await create(service, f"slow-{uuid4().hex}", limits=trajectory_pb2.Limits(disk_mib=1024))
        for way in ways:
            taken = WAYS[way]
            for name, pace in PACES.items():
                with Growth(server.process.pid) as growth:
                    size = await taken(service, made.id, pace)
                yield f"{way}, {name}", size, growth.mib
        await release(service, made.id)


def main(backend: str) -> None:
    with ExitStack() as stack:
        config = OFFERED
        environment = {}
        if backend == "e2b":
            service = stack.enter_context(E2bServer())
            config += service.config()
            environment = service.environment
        if backend == "docker":
            engine = Engine()
            stack.callback(engine.close)
            engine.wait()
            config += f"backend: {{ type: docker, socket: {engine.folder}/sock }}\n"
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sandlot-slow-", dir="/var/tmp"))
        server = Server(Path(folder), config=config)
        server.start("", environment)
        stack.callback(_end_all, server)
        asyncio.run(printed(server))


async def printed(server: Server) -> None:
    async for what, size, mib in growths(server):
        print(f"{what:26} {size / MIB:6.1f} MiB of output, the server grew by {mib:5.1f} MiB", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="How much a server grows while 100 MiB are taken slowly.")
    parser.add_argument("--backend", choices=["oci", "docker", "e2b"], default="oci")
    main(parser.parse_args().backend)
