"""Rollouts in containers of a Docker engine: the same steps and rewards, whenever the server is killed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import families
import in_images
import pytest
import sandlot
from bundled import Answers, applied, task_file
from conftest import _end_all, _folder
from engine import Engine, engine_or_leave_out
from images import Images, docker_archive, family_images, harbor_task
from server import Server

TASK = "py-interval-merge"
R2E = f"stock__{families.FIX}"
PLAYED = [R2E, "count-in-an-image"]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with engine_or_leave_out() as engine:
        yield engine


@pytest.fixture(scope="module")
def server(engine: Engine) -> Iterator[Server]:
    """With images of its own making, bundled tasks, and one whose tests take a while."""
    with _folder() as folder:
        images = Images(folder / "images")
        rows = folder / "rows.jsonl"
        only = frozenset(PLAYED)
        rows.write_text("".join(json.dumps(row) + "\n" for row in family_images(images, folder / "scratch", only)))
        task = harbor_task(folder / "harbor", images, folder / "scratch")
        in_images.add_images(images, folder / "scratch")
        docker_archive(images, folder / "images.tar")
        loaded = engine.run("load", "--input", str(folder / "images.tar"))
        assert loaded.returncode == 0, loaded.stderr
        backend = {"type": "docker", "socket": f"{engine.folder}/sock"}
        server = Server(folder / "server", config=f"backend: {json.dumps(backend)}\ngrading: {{ slots: 4 }}\n{in_images.OFFERED}")
        set_up = {"setup": {"type": "commands", "commands": ["echo begun; sleep 2; echo x >> made"]}}
        server.tasks += [rows, task.parent, task_file(folder, "slow", delay_s=2), task_file(folder, "slow-set-up", environment=set_up)]
        yield server.start()
        _end_all(server)
        assert engine.containers_of(server.instance) == []


@pytest.mark.parametrize("task_id", PLAYED)
def test_a_trajectory_in_an_image_gets_what_its_work_is_worth(server: Server, task_id: str) -> None:
    in_images.gets_what_its_work_is_worth(server, task_id, "docker")


def test_bare_sandboxes_from_an_image_are_as_it_says_and_go_on_after_the_server_was_killed(server: Server) -> None:
    in_images.are_as_their_images_say(server)


def test_bundled_tasks_have_their_rewards(server: Server) -> None:
    answers = Answers.of(TASK)
    patches = {"gold": (answers.gold, 1.0), "empty": ("", 0.0), **{name: (patch, 0.0) for name, patch in list(answers.wrong.items())[:1]}}

    async def play(patch: str) -> float | None:
        async with sandlot.connect(server.address) as client, client.trajectory(TASK) as t:
            if patch:
                assert (await t.bash(applied(patch))).exit_code == 0
            return (await t.submit()).reward

    async def all_of_them() -> list[float | None]:
        return await asyncio.gather(*(play(patch) for patch, _ in patches.values()))

    assert asyncio.run(all_of_them()) == [reward for _, reward in patches.values()]


def test_a_server_that_is_killed_during_a_command_a_grade_and_a_preparation_goes_on_as_if_nothing_was(engine: Engine, server: Server) -> None:
    async def play() -> None:
        async with sandlot.connect(server.address, patience=300) as client:
            async with client.trajectory("slow") as before:
                assert (await before.bash("sed -i 's/ + 1//' sums.py")).exit_code == 0
                unharmed = await before.submit()
            async with client.trajectory(TASK) as t, client.trajectory("slow") as graded:
                home = (await t.bash("pwd; cd /tmp; export COLOUR=green; echo kept > file")).text.strip()
                assert (await graded.bash("sed -i 's/ + 1//' sums.py")).exit_code == 0
                running = asyncio.create_task(t.bash("touch begun; sleep 2; echo x >> lines; pwd"))
                grading = asyncio.create_task(graded.submit())
                await t.sandbox.exec("until [ -e /tmp/begun ]; do sleep 0.05; done")
                async with asyncio.timeout(300):
                    while (await client.get_trajectory(graded.id)).state == "ACTIVE":
                        await asyncio.sleep(0.02)
                preparing = client.prepare(["slow-set-up"])
                async with asyncio.timeout(300):
                    while (await anext(preparing)).message != "begun":
                        pass
                server.kill()
                await asyncio.to_thread(server.start)
                assert engine.half_made_of(server.instance) == []
                assert (await running).text == "/tmp\n"
                assert (await t.bash("cat lines file; echo $COLOUR; pwd")).text == "x\nkept\ngreen\n/tmp\n", "it ran once"
                assert (await t.bash(f"cd {home} && git status --porcelain")).text == ""
                grade = await grading
                assert (grade.reward, grade.validity, grade.outcome) == (1.0, "VALID", "RESOLVED") == (unharmed.reward, unharmed.validity, unharmed.outcome)
                assert grade.tests == unharmed.tests and grade.patch == unharmed.patch
            async with client.trajectory("slow-set-up") as made:
                assert (await made.bash("cat made")).text == "x\n"

    asyncio.run(play())
