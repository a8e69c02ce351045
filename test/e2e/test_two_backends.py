"""One server with two backends: its configuration says which plays a set of tasks, and both survive a kill of the server."""

from __future__ import annotations

import asyncio
import re
import shutil

import pytest
import sandlot
from bundled import Answers, applied, task_file
from conftest import ISOLATED
from e2b import E2bServer
from server import Server

pytestmark = pytest.mark.skipif(not ISOLATED, reason="two backends at once are oci, which needs root here, and process")

TASK = "py-interval-merge"
FIX = "sed -i 's/ + 1//' sums.py"


def with_two(own: Server, backend: str = "plain") -> Server:
    own.folder.mkdir(parents=True, exist_ok=True)
    rows = task_file(own.folder, "on-plain")
    own.config = (
        "backends:\n  plain: { type: process, commands_run_unprotected_on_this_host: true }\n"
        f"tasks:\n  sets:\n    - {{ from: [{rows}], backend: {backend} }}\n"
    )
    return own


def test_a_set_of_tasks_is_played_on_the_backend_that_the_configuration_names_and_both_survive_the_server(own: Server) -> None:
    with_two(own).start()

    async def play() -> None:
        async with sandlot.connect(own.address, patience=300) as client:
            info = await client.info()
            assert info.backend == "oci"
            assert [(one.name, one.type, one.isolated, one.images) for one in info.backends] == [("default", "oci", True, True), ("plain", "process", False, False)]
            boxes, bare = info.backends
            assert bare.enforced == {"memory_mib": "NONE", "cpu_milli": "NONE", "pids": "NONE", "disk_mib": "NONE"}
            assert bare.lacks["hard_disk_limit"] == "nobody looks at the size of its folder" and "isolation" in bare.lacks
            assert boxes.enforced == info.default_limits.enforced and (boxes.enforced["disk_mib"] == "HARD") == ("hard_disk_limit" not in boxes.lacks)
            tasks = {task.id: task async for task in client.tasks()}
            assert (tasks[TASK].backend, tasks["on-plain"].backend) == ("default", "plain")
            async with client.trajectory(TASK) as boxed, client.trajectory("on-plain") as plain:
                assert (await boxed.bash("pwd; export SEEN=boxed")).text.startswith("/testbed\n")
                where = (await plain.bash("pwd; export SEEN=plain")).text
                assert str(own.state / "backends/plain/sandboxes") in where
                assert not (await boxed.bash(f"ls {own.state}")).exit_code == 0, "an isolated sandbox sees nothing of the other backend's"
                own.kill()
                own.start()
                assert (await boxed.bash("echo $SEEN")).text == "boxed\n"
                assert (await plain.bash("echo $SEEN; pwd")).text == f"plain\n{where}"
                assert (await boxed.bash(applied(Answers.of(TASK).gold))).exit_code == 0
                assert (await plain.bash(FIX)).exit_code == 0
                grades = [await boxed.submit(), await plain.submit()]
                assert [(grade.reward, grade.provenance.backend) for grade in grades] == [(1.0, "oci"), (1.0, "process")]
            for task_id in (TASK, "on-plain"):
                async with client.trajectory(task_id) as t:
                    assert (await t.submit()).reward == 0.0

    asyncio.run(play())


def test_a_set_of_tasks_is_played_in_machines_of_e2b_beside_sandboxes_of_this_host(own: Server) -> None:
    with E2bServer() as service:
        with_two(own)
        own.config = own.config.replace("plain: { type: process, commands_run_unprotected_on_this_host: true }", f"plain: {service.config().removeprefix('backend: ')}")
        own.start(environment=service.environment)

        async def play() -> None:
            async with sandlot.connect(own.address, patience=60) as client:
                assert [(one.name, one.type, one.isolated) for one in (await client.info()).backends] == [("default", "oci", True), ("plain", "e2b", True)]
                async with client.trajectory(TASK) as near, client.trajectory("on-plain") as far:
                    await asyncio.gather(near.bash("export SEEN=near"), far.bash("export SEEN=far"))
                    own.kill()
                    own.start(environment=service.environment)
                    assert [(await t.bash("echo $SEEN")).text for t in (near, far)] == ["near\n", "far\n"]
                    assert (await near.bash(applied(Answers.of(TASK).gold))).exit_code == 0
                    assert (await far.bash(FIX)).exit_code == 0
                    grades = [await near.submit(), await far.submit()]
                    assert [(grade.reward, grade.provenance.backend) for grade in grades] == [(1.0, "oci"), (1.0, "e2b")]
                async with client.trajectory("on-plain") as t:
                    grade = await t.submit()
                    assert (grade.reward, grade.outcome) == (0.0, "EMPTY_PATCH")

        asyncio.run(play())
        assert own.stop() == 0
        assert service.ask("sandboxes") == []
    own.config = ""  # for who looks after it: the service is no more


def test_what_was_left_on_both_is_removed_by_the_next_start(own: Server) -> None:
    with_two(own).start()

    async def leave() -> None:
        async with sandlot.connect(own.address) as client:
            for task_id in (TASK, "on-plain"):
                await client.trajectory(task_id).open()

    asyncio.run(leave())
    own.kill()
    shutil.rmtree(own.state / "trajectories")
    own.start()
    assert own.stop() == 0
    assert not any(own.leftovers().values()), own.leftovers()
    assert list((own.state / "backends/plain/sandboxes").iterdir()) == []


def test_a_backend_that_is_not_there_stops_the_start_with_its_place_named(own: Server) -> None:
    with_two(own, backend="elsewhere")
    with pytest.raises(AssertionError) as refused:
        own.start()
    own.process = None
    assert re.search(r'config\.yaml:\d+:\d+: tasks\.sets\.0\.backend: expected plain, got "elsewhere"', str(refused.value))
