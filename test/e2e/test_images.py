"""Tasks whose environment is a container image, from end to end on the oci backend: the images are made here, of this host's own programs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import families
import in_images
import pytest
import sandlot
from bundled import applied
from conftest import ISOLATED, _end_all, _folder
from images import Images, family_images, harbor_task
from server import Server

pytestmark = pytest.mark.skipif(not ISOLATED, reason="root file systems of their own need the oci backend, which needs root here")

PLAYED = [one.task_id for one in families.ALL if one.row is not None and one.task_id != "family-swe-bench-classic"]
PLAYED.append("count-in-an-image")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with _folder() as folder:
        images = Images(folder / "images")
        rows = folder / "rows.jsonl"
        rows.write_text("".join(json.dumps(row) + "\n" for row in family_images(images, folder / "scratch")))
        task = harbor_task(folder / "harbor", images, folder / "scratch")
        in_images.add_images(images, folder / "scratch")
        server = Server(folder, config=f"backend: {{ type: oci, images: [{images.folder}] }}\ntasks: {{ bundled: false }}\n{in_images.OFFERED}")
        server.tasks += [rows, task.parent]
        yield server.start()
        _end_all(server)


@pytest.mark.parametrize("task_id", PLAYED)
def test_a_trajectory_in_an_image_gets_what_its_work_is_worth(server: Server, task_id: str) -> None:
    in_images.gets_what_its_work_is_worth(server, task_id, "oci")


def test_sixteen_rollouts_of_one_image_prepare_once_and_share_its_layers(server: Server) -> None:
    async def play() -> None:
        async with sandlot.connect(server.address) as client:
            task_id = "family-swe-bench"
            trajectories = await asyncio.gather(*(client.trajectory(task_id).open() for _ in range(16)))
            keys = {(await client.get_trajectory(t.id)).environment_digest for t in trajectories}
            assert len(keys) == 1
            await asyncio.gather(*(t.release() for t in trajectories))

    asyncio.run(play())
    layers = [path for path in (server.state / "images/layers").iterdir() if not path.name.startswith(".")]
    # One with the programs for all, and one for each image.
    assert len(layers) <= 1 + len(PLAYED), layers


def test_an_image_that_is_nowhere_is_told_in_the_list_of_tasks_or_at_play(server: Server, own: Server) -> None:
    rows = [json.loads(line) for line in (server.folder / "rows.jsonl").read_text().splitlines()]
    row = next(one for one in rows if one.get("instance_id") == "family-swe-bench")
    own.folder.mkdir(parents=True, exist_ok=True)
    path = own.folder / "rows.jsonl"
    path.write_text(json.dumps({**row, "image": "docker-archive:/nowhere/image.tar"}) + "\n")
    own.tasks, own.config = [path], "tasks: { bundled: false }\n"
    own.start()

    async def play() -> None:
        async with sandlot.connect(own.address) as client:
            task = await client.task("family-swe-bench")
            assert not task.playable and "/nowhere/image.tar" in task.unplayable_reason
            with pytest.raises(sandlot.TaskFault, match="/nowhere/image.tar"):
                await client.trajectory(task.id).open()

    asyncio.run(play())


def test_live_trajectories_in_an_image_go_on_after_the_server_was_killed(server: Server) -> None:
    async def play() -> None:
        async with sandlot.connect(server.address, patience=300) as client, client.trajectory("family-swe-gym") as t:
            assert (await t.bash("echo kept > /tmp/kept; export SEEN=yes")).exit_code == 0
            server.kill()
            server.start()
            assert (await t.bash("cat /tmp/kept; echo $SEEN")).text.split() == ["kept", "yes"]
            assert (await t.bash(applied(families.GOLD))).exit_code == 0
            assert (await t.submit()).reward == 1.0

    asyncio.run(play())


def test_bare_sandboxes_from_an_image_are_as_it_says_and_go_on_after_the_server_was_killed(server: Server) -> None:
    in_images.are_as_their_images_say(server)
