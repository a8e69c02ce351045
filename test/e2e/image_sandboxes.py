"""What a bare sandbox from an image is, whichever backend makes it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sandlot
from images import Images
from server import Server

TOOL = "acme/tool:1"
PLAIN = "acme/plain"
OFFERED = "sandbox_service: { enabled: true }\n"


def add_images(images: Images, scratch: Path) -> None:
    """One that says all that an image can say of those who run in it, and one that says nothing; none has a repository."""
    tree = scratch / "tool"
    (tree / "srv/tool").mkdir(parents=True)
    (tree / "srv/tool/here").write_text("from the image\n")
    (tree / "srv/tool/here").chmod(0o666)
    (tree / "opt/tool").mkdir(parents=True)
    (tree / "opt/tool/greet").write_text('#!/bin/sh\necho "hello $COLOUR $SHAPE"\n')
    (tree / "opt/tool/greet").chmod(0o755)
    images.add(TOOL, tree, WorkingDir="/srv/tool", Env=["PATH=/opt/tool:/usr/bin", "COLOUR=red", "SHAPE=round"], User="1234:1234")
    plain = scratch / "plain"
    plain.mkdir()
    images.add(f"{PLAIN}:latest", plain)


def are_as_their_images_say(server: Server) -> None:
    """Also across a kill of the server, and however many ask at once; `server` offers SandboxService and has the images."""

    async def play() -> None:
        async with sandlot.connect(server.address, patience=60) as client:
            some = await asyncio.gather(*(client.sandbox(image=TOOL, env={"SHAPE": "square"}, labels={"run_id": "images"}).open() for _ in range(4)))
            assert len({one.summary.environment_digest for one in some}) == 1, "prepared once"
            first, second = some[:2]
            assert first.summary.bare and first.summary.task_id == "" and first.workdir == "/srv/tool"
            ran = await first.exec("greet; pwd; id -u; cat here; echo $PATH")
            assert ran.stdout == b"hello red square\n/srv/tool\n1234\nfrom the image\n/opt/tool:/usr/bin\n", ran
            await first.write_file("/srv/tool/here", b"changed\n")
            with pytest.raises(PermissionError):
                await first.write_file("/opt/tool/greet", b"")
            assert await second.read_file("/srv/tool/here") == b"from the image\n", "each has its own"
            line = [one async for one in client.record(first.id)][0]
            assert line["environment"]["rootfs"]["digest"].startswith("sha256:") and line["environment"]["rootfs"]["ref"] == TOOL
            server.kill()
            server.start()
            assert await first.read_file("/srv/tool/here") == b"changed\n" and await second.read_file("/srv/tool/here") == b"from the image\n"
            assert (await client.get_trajectory(first.id)).bare
            async with client.sandbox(image=PLAIN, workdir="/tmp") as plain:
                assert (await plain.exec("pwd; id -u; echo $HOME")).stdout == b"/tmp\n0\n/root\n"
            async with client.sandbox(image=PLAIN) as plain:
                assert plain.workdir == "/" and (await plain.exec(["pwd"])).stdout == b"/\n"
                await _refuses_steps_and_grades(client, plain.id)
            await client.release(labels={"run_id": "images"})
            with pytest.raises(sandlot.SandlotError, match="127.0.0.1:9/acme/none"):
                await client.sandbox(image="127.0.0.1:9/acme/none:1").open()

    asyncio.run(play())


async def _refuses_steps_and_grades(client: sandlot.Client, name: str) -> None:
    from sandlot._gen import rollout_service_pb2 as pb

    calls: Any = client._opened()[0]
    for method, request in (
        ("Execute", pb.ExecuteRequest(trajectory_id=name, call_id="e", tool="bash", arguments_json='{"command": "true"}')),
        ("Grade", pb.GradeRequest(trajectory_id=name, finalize=True)),
    ):
        with pytest.raises(sandlot.UnsupportedError, match="bare sandbox"):
            await calls.unary(method, request)
