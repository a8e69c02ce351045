"""What tasks in images, and bare sandboxes from one, are, whichever backend makes them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import families
import pytest
import sandlot
from bundled import applied
from images import Images
from server import Server

TOOL = "acme/tool:1"
PLAIN = "acme/plain"
OFFERED = "sandbox_service: { enabled: true }\n"


WORKDIRS = {one.task_id: one.workdir for one in families.ALL} | {"count-in-an-image": "/app"}


def gets_what_its_work_is_worth(server: Server, task_id: str, backend: str) -> None:
    """Rollouts with the gold patch, with a wrong one and with none; none sees anything of the fix."""

    async def play(patch: str) -> sandlot.Grade:
        async with sandlot.connect(server.address) as client, client.trajectory(task_id) as t:
            where = await t.bash("pwd && git status --porcelain && cat stock.py && git log --all --format=%s && git remote")
            assert where.text.startswith(f"{WORKDIRS[task_id]}\n") and "len(counts)" in where.text, where.text
            assert "sum(counts" not in (await t.bash("git log --all -p; git stash list")).text
            assert (await t.bash("ls -d /r2e_tests run_tests.sh /home/*.patch /home/*.sh 2>/dev/null | wc -l")).text.strip() == "0", "what the image hides"
            if patch:
                assert (await t.bash(applied(patch))).exit_code == 0
            return await t.submit()

    async def play_all() -> list[sandlot.Grade]:
        return await asyncio.gather(*(play(patch) for patch in (families.GOLD, families.WRONG, "")))

    gold, wrong, nothing = asyncio.run(play_all())
    assert (gold.reward, gold.outcome, gold.validity) == (1.0, "RESOLVED", "VALID"), gold
    assert gold.provenance.image_digest.startswith("sha256:") and gold.provenance.backend == backend
    assert (wrong.reward, wrong.outcome) == (0.0, "UNRESOLVED"), wrong
    assert (nothing.reward, nothing.outcome) == (0.0, "EMPTY_PATCH"), nothing


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
        async with sandlot.connect(server.address, patience=300) as client:
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
