"""Rollouts in machines of E2B, as the test server lends them: the same steps and rewards, whatever the service does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sandlot
from bundled import Answers, applied
from e2b import E2bServer
from reward_regression import Case, cases_of, play
from server import Server

TASK = "py-interval-merge"
LABELS = {"suite": "e2b"}
CREATE = r"^POST /sandboxes$"


@pytest.fixture(scope="module")
def service() -> Iterator[E2bServer]:
    with E2bServer() as server:
        yield server
        assert server.ask("sandboxes") == []


@pytest.fixture
def lent(service: E2bServer, tmp_path: Path) -> Iterator[Server]:
    """A server whose sandboxes are machines of the service; all of them have to be gone in the end."""
    server = Server(tmp_path, config=service.config() + "sandbox_service: { enabled: true }\n")
    server.start(environment=service.environment)
    yield server
    if server.ended:
        server.start(environment=service.environment)
    asyncio.run(release_all(server.address))
    assert server.stop() == 0, server.log[-3000:]
    assert service.ask("sandboxes") == []


async def release_all(address: str) -> None:
    async with sandlot.connect(address, patience=300) as client:
        await client.release(labels=LABELS)


def test_rewards_are_those_of_every_backend(lent: Server, capsys: pytest.CaptureFixture[str]) -> None:
    cases: list[Case] = [case for case in cases_of(TASK) if case.name in ("verified", "empty") or case.way == "patch"]
    assert asyncio.run(play(lent.address, cases, 4)) == 0, capsys.readouterr().out


def test_a_bare_sandbox_is_a_machine_of_the_template_of_its_image(service: E2bServer, lent: Server) -> None:
    async def work() -> None:
        async with sandlot.connect(lent.address) as client, client.sandbox(image="host:latest", workdir="/tmp", labels=LABELS) as sandbox:
            await sandbox.write_file("/tmp/here", b"kept")
            assert (await sandbox.exec("pwd; cat here; id -u")).stdout == b"/tmp\nkept0\n"
            assert len(service.ask("sandboxes")) >= 1

    asyncio.run(work())


def test_an_image_that_has_a_recipe_is_built_by_the_service_and_another_recipe_is_another_template(service: E2bServer, lent: Server) -> None:
    recipe = lent.folder / "lite.Dockerfile"

    def serve(word: str) -> None:
        recipe.write_text(f'# Tools.\nARG BASE=none:1\nFROM ${{BASE}}\nENV KIND=lite\nRUN mkdir /opt/lite \\\n  && echo "{word} $KIND" > /opt/lite/word\nWORKDIR /opt/lite\n')
        recipes = {"acme/lite:1": {"dockerfile": str(recipe), "args": {"BASE": "host:latest"}}}
        lent.config = service.config(recipes=recipes) + "sandbox_service: { enabled: true }\n"
        assert lent.stop() == 0
        lent.start(environment=service.environment)

    async def word() -> bytes:
        async with sandlot.connect(lent.address) as client, client.sandbox(image="acme/lite:1", workdir="/opt/lite", labels=LABELS) as sandbox:
            return (await sandbox.exec("cat word")).stdout

    before = len(service.ask("builds"))
    for said, builds in (("first", 1), ("first", 1), ("second", 2)):
        serve(said)
        assert asyncio.run(word()) == f"{said} lite\n".encode()
        assert len([name for name in service.ask("builds")[before:] if "acme-lite" in name]) == builds


def test_a_server_that_is_killed_finds_its_machines_and_goes_on(service: E2bServer, lent: Server) -> None:
    async def rollout() -> sandlot.Grade:
        async with sandlot.connect(lent.address, patience=300) as client, client.trajectory(TASK, attempt_id="attempt", labels=LABELS) as t:
            home = (await t.bash("pwd")).text.strip()
            await t.bash("export COLOUR=green; cd /tmp; echo kept > file")
            lent.kill()
            assert len(service.ask("sandboxes")) >= 1
            await asyncio.to_thread(lent.start, "", service.environment)
            assert (await t.bash("cat file; echo $COLOUR")).text == "kept\ngreen\n"
            await t.bash(f"cd {home} && " + applied(Answers.of(TASK).gold))
            return await t.submit()

    grade = asyncio.run(rollout())
    assert (grade.reward, grade.outcome) == (1, "RESOLVED")
    [journal] = (lent.state / "trajectories").glob("*/journal.jsonl")
    ended = json.loads(journal.read_text().splitlines()[-1])
    assert ended["type"] == "ended"
    assert ended["cost"]["seconds"] > 1
    assert 0 < ended["cost"]["usd"] < 0.1


def test_a_service_that_refuses_loses_answers_and_cuts_streams_changes_no_reward(service: E2bServer, lent: Server) -> None:
    async def play_one() -> sandlot.Grade:
        async with sandlot.connect(lent.address, patience=300) as client, client.trajectory(TASK, labels=LABELS) as t:
            await t.bash("echo x >> /tmp/once")
            service.fault(r"SendInput$", cut="after")
            service.fault(r"Process/Connect$", cutAfterBytes=600, times=2)
            assert (await t.bash("echo x >> /tmp/once; wc -l < /tmp/once")).text.strip() == "2"
            await t.bash(applied(Answers.of(TASK).gold))
            service.fault(CREATE, answer={"status": 429, "headers": {"retry-after": "1"}, "body": {"code": 429, "message": "Rate limit exceeded"}})
            service.fault(CREATE, answer={"status": 429, "body": {"code": 429, "message": "you have reached the maximum number of concurrent E2B sandboxes"}})
            service.fault(CREATE, answer={"status": 502, "body": {"code": 502, "message": "bad gateway"}})
            service.fault(CREATE, cut="after")
            service.fault(r"^DELETE ", answer={"status": 500, "body": {"code": 500, "message": "try again"}})
            return await t.submit()

    grade = asyncio.run(play_one())
    assert (grade.reward, grade.validity) == (1, "VALID")


def test_a_group_prepares_once(service: E2bServer, lent: Server) -> None:
    before = len(service.ask("builds"))

    async def play() -> str:
        async with sandlot.connect(lent.address, patience=300) as client, client.trajectory(TASK, labels=LABELS) as t:
            return (await t.bash("pwd")).text

    async def group() -> list[str]:
        return await asyncio.gather(*(play() for _ in range(4)))

    asked = len([line for line in service.ask("requests") if line.endswith("/snapshots")])
    assert len(set(asyncio.run(group()))) == 1
    made = len([line for line in service.ask("requests") if line.endswith("/snapshots")]) - asked
    assert made <= 1
    assert len(service.ask("builds")) == before
