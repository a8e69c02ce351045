"""Rows that name images on E2B (the test server): a template is made of each image, and the grade's report is that of Docker, byte for byte. Played when it is named: `scripts/test e2b_images`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import families
import pytest
import sandlot
from bundled import applied
from conftest import _end_all, _folder
from e2b import E2bServer
from engine import Engine, engine_or_leave_out
from images import Images, docker_archive, family_images, unpacked
from server import Server

PLAYED = ["family-swe-bench", "family-swe-rebench-v2", f"stock__{families.FIX}", "instance_acme__stock-1a2b3c4d-vnan", "acme__stock-7"]
# Of a report: what differs between two plays of the same thing, and who played it.
OWN = {"id", "timings"}
OWN_OF_PROVENANCE = {"backend", "environment_digest", "image_digest"}


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[Images, Path]]:
    with _folder() as folder:
        images = Images(folder / "images")
        rows = folder / "rows.jsonl"
        rows.write_text("".join(json.dumps(row) + "\n" for row in family_images(images, folder / "scratch", frozenset(PLAYED))))
        yield images, rows


@pytest.fixture(scope="module")
def engine(made: tuple[Images, Path]) -> Iterator[Engine]:
    images, rows = made
    with engine_or_leave_out() as engine:
        archive = rows.with_name("images.tar")
        docker_archive(images, archive)
        loaded = engine.run("load", "--input", str(archive))
        assert loaded.returncode == 0, loaded.stderr
        yield engine


@pytest.fixture(scope="module")
def docker(made: tuple[Images, Path], engine: Engine) -> Iterator[Server]:
    with _folder() as folder:
        server = Server(folder, config=f"backend: {{ type: docker, socket: {engine.folder}/sock }}\ntasks: {{ bundled: false }}\n", tasks=[made[1]])
        yield server.start()
        _end_all(server)


@pytest.fixture(scope="module")
def service(made: tuple[Images, Path]) -> Iterator[E2bServer]:
    images, rows = made
    roots = unpacked(images, rows.with_name("roots"))
    with E2bServer(*(word for name, root in roots.items() for word in ("--image", f"{name}={root}"))) as service:
        yield service
        assert service.ask("sandboxes") == []


@pytest.fixture(scope="module")
def e2b(made: tuple[Images, Path], service: E2bServer) -> Iterator[Server]:
    with _folder() as folder:
        server = Server(folder, config=service.config() + "tasks: { bundled: false }\n", tasks=[made[1]])
        yield server.start(environment=service.environment)
        _end_all(server)


async def played(server: Server, task_id: str, patch: str) -> sandlot.Grade:
    async with sandlot.connect(server.address, patience=60) as client, client.trajectory(task_id) as t:
        assert "sum(counts" not in (await t.bash("cat stock.py; git log --all -p; git stash list")).text
        if patch:
            assert (await t.bash(applied(patch))).exit_code == 0
        return await t.submit()


def report(grade: sandlot.Grade) -> str:
    whole = {name: value for name, value in asdict(grade).items() if name not in OWN}
    whole["provenance"] = {name: value for name, value in whole["provenance"].items() if name not in OWN_OF_PROVENANCE}
    return json.dumps(whole, sort_keys=True, default=bytes.hex)


@pytest.mark.parametrize("task_id", PLAYED)
def test_a_row_in_an_image_has_the_grades_on_e2b_that_it_has_on_docker(e2b: Server, docker: Server, service: E2bServer, task_id: str) -> None:
    async def play(server: Server) -> list[sandlot.Grade]:
        return await asyncio.gather(*(played(server, task_id, patch) for patch in (families.GOLD, families.WRONG, "")))

    far = asyncio.run(play(e2b))
    assert [(grade.reward, grade.validity, grade.outcome) for grade in far] == [(1.0, "VALID", "RESOLVED"), (0.0, "VALID", "UNRESOLVED"), (0.0, "VALID", "EMPTY_PATCH")], far
    assert {grade.provenance.backend for grade in far} == {"e2b"} and far[0].provenance.image_digest != ""
    near = asyncio.run(play(docker))
    assert [report(grade) for grade in far] == [report(grade) for grade in near]


def test_each_image_became_one_template_whoever_asked(service: E2bServer, e2b: Server) -> None:
    builds = [name for name in service.ask("builds") if "sandlot-host" not in name]
    assert len(builds) == len(set(builds)) == len(PLAYED), builds
