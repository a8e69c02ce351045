"""What a server with two backends does, whichever two they are: the default one plays a bundled task, the one named `second` a task of its own."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import Any

import sandlot
from bundled import GOLD_OF_OWN, Answers, applied, task_file
from server import Server

TASK = "py-interval-merge"
OWN = "on-second"
PROCESS: dict[str, Any] = {"type": "process", "commands_run_unprotected_on_this_host": True}


def with_both(own: Server, first: dict[str, Any], second: dict[str, Any]) -> Server:
    own.folder.mkdir(parents=True, exist_ok=True)
    rows = task_file(own.folder, OWN)
    sets = {"sets": [{"from": [str(rows)], "backend": "second"}]}
    own.config = json.dumps({"backend": first, "backends": {"second": second}, "tasks": sets, "sandbox_service": {"enabled": True}})
    return own


def both_are_played_at_once_and_survive_the_server(own: Server, types: tuple[str, str]) -> None:
    """Trajectories of both run commands while the server is killed, go on, and get their rewards; grades and records name who made their sandboxes."""

    async def play() -> None:
        async with sandlot.connect(own.address, patience=300) as client:
            assert [(one.name, one.type) for one in (await client.info()).backends] == [("default", types[0]), ("second", types[1])]
            assert {task.id: task.backend async for task in client.tasks() if task.id in (TASK, OWN)} == {TASK: "default", OWN: "second"}
            async with client.trajectory(TASK) as first, client.trajectory(OWN) as second:
                both = (first, second)
                homes = await asyncio.gather(*(t.bash("pwd; export SEEN=$PWD; mkdir -p here") for t in both))
                running = [asyncio.create_task(t.bash("touch here/begun; sleep 2; echo x >> here/lines; wc -l < here/lines")) for t in both]
                for t in both:
                    await t.sandbox.exec("until [ -e here/begun ]; do sleep 0.05; done")
                own.kill()
                await asyncio.to_thread(own.start)
                assert [result.text.strip() for result in await asyncio.gather(*running)] == ["1", "1"], "each ran once"
                assert [(await t.bash("echo $SEEN; rm -r here")).text for t in both] == [home.text for home in homes]
                await asyncio.gather(first.bash(applied(Answers.of(TASK).gold)), second.bash(GOLD_OF_OWN))
                grades = await asyncio.gather(*(t.submit() for t in both))
                assert [(grade.reward, grade.provenance.backend) for grade in grades] == [(1.0, one) for one in types], grades
                lines = [[line async for line in client.record(t.id)][0] for t in both]
                assert [(line["backend"], line["environment"].get("backend", "")) for line in lines] == [(types[0], ""), (types[1], "second")]
            async with client.trajectory(OWN) as empty:
                grade = await empty.submit()
                assert (grade.reward, grade.outcome) == (0.0, "EMPTY_PATCH")

    asyncio.run(play())


def what_was_left_on_both_is_removed(own: Server) -> None:
    """By a start that knows nothing of it."""

    async def leave() -> None:
        async with sandlot.connect(own.address) as client:
            for task_id in (TASK, OWN):
                await (await client.trajectory(task_id).open()).bash("sleep 3600 &")

    asyncio.run(leave())
    own.kill()
    shutil.rmtree(own.state / "trajectories")
    own.start()
    assert own.stop() == 0
    assert not any(own.leftovers().values()), own.leftovers()
    assert [path for path in (own.state / "backends/second").glob("sandboxes/*")] == []
