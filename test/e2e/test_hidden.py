"""Nothing of the hidden tests and of the gold patch is where a policy, or a trainer without the scope for it, can see it."""

from __future__ import annotations

import asyncio
import base64
import json
import shlex
import time
from dataclasses import replace
from pathlib import Path

import pytest
import sandlot
from bundled import FOLDER, IDS, Answers, applied
from raw import TASK
from server import Server

ROUNDS = 4
WATCHED_S = 300.0
SCAN = (Path(__file__).parent / "sandbox_scan.py").read_text()


def secrets(task_id: str) -> list[str]:
    """Names of the hidden tests and lines of gold and test patch, but for what stands in the repository anyway."""
    answers = Answers.of(task_id)
    added = [line[1:].strip() for line in (answers.gold + answers.tests).splitlines() if line.startswith("+") and not line.startswith("+++")]
    parts = [part for name in answers.fail_to_pass for part in (name, name.rsplit(".", 1)[-1].rsplit(" > ", 1)[-1])]
    public = (FOLDER / task_id / "repository.fast-export").read_text()
    return sorted({text for text in parts + added if len(text) >= 14 and text not in public})


def scan(texts: list[str], how: str) -> str:
    coded = json.dumps([base64.b64encode(text.encode()).decode() for text in texts])
    return f"python3 - {shlex.quote(coded)} {how} <<'END_OF_SCAN'\n{SCAN}\nEND_OF_SCAN\n"


def nothing_in(report: str, texts: list[str]) -> dict[str, int]:
    facts = json.loads(report)
    found = [(texts[number], where) for number, where in facts.pop("found")]
    assert found == []
    return facts


@pytest.mark.parametrize("task_id", IDS)
def test_a_policy_finds_nothing_of_the_answers_before_during_and_after_a_look_at_its_work(shared: Server, task_id: str) -> None:
    texts = secrets(task_id)
    assert len(texts) > 10

    async def play() -> None:
        async with sandlot.connect(shared.address) as client, client.trajectory(task_id, limits={"command_ms": 600_000}, submit_feedback="counts") as t:
            before = nothing_in((await t.bash(scan(texts, "once"))).text, texts)
            assert before["files"] > 20 and before["objects"] > 10, "it looked at something"
            await t.bash("echo a change >> README.md")
            await t.bash(f"({scan(texts, 'watch')}) > /tmp/watched 2>&1 & until [ -e /tmp/watching ]; do sleep 0.01; done")
            await looked_at_until_watched(t)
            await t.bash("touch /tmp/stop-watching; until [ -s /tmp/watched ]; do sleep 0.05; done; rm /tmp/stop-watching")
            nothing_in((await t.bash("cat /tmp/watched")).text, texts)
            nothing_in((await t.bash(scan(texts, "once"))).text, texts)
            said = await t.step([{"id": "s", "name": "submit_solution", "arguments": "{}"}])
            assert not told(texts, repr(t.messages), repr(t.tools), repr(said.observations))

    asyncio.run(play())


async def looked_at_until_watched(t: sandlot.Trajectory) -> sandlot.Grade:
    """Looks at the work again and again, until the watch has made some whole rounds while a look ran; the last look. Host and sandbox have the same clock."""
    looks: list[tuple[float, float]] = []
    whole: list[str] = []
    async with asyncio.timeout(WATCHED_S):
        while len(whole) < ROUNDS:
            begun = time.time()
            look = await t.grade()
            looks.append((begun, time.time()))
            assert (look.reward, look.outcome) == (0.0, "UNRESOLVED")
            rounds = (await t.bash("cat /tmp/watch-rounds")).text.splitlines()
            whole = [one for one in rounds if any(first <= float(one.split()[0]) and float(one.split()[1]) <= last for first, last in looks)]
    return look


def test_the_search_finds_what_is_there(shared: Server) -> None:
    """A search that finds nothing proves something only if it would have found it."""

    async def play() -> None:
        async with sandlot.connect(shared.address) as client, client.trajectory(TASK) as t:
            hide = [
                "echo needle-in-file > /var/tmp/.x; mkdir -p /opt/needle-in-path",
                "echo needle-in-object | git hash-object -w --stdin; git gc -q",
                "(needle=needle-in-environ exec -a needle-in-cmdline sleep 100 &)",
            ]
            for command in hide:
                await t.bash(command)
            texts = ["needle-in-file", "needle-in-path", "needle-in-object", "needle-in-environ", "needle-in-cmdline"]
            found = json.loads((await t.bash(scan(texts, "once"))).text)["found"]
            assert {number for number, _ in found} == set(range(len(texts)))

    asyncio.run(play())


def told(texts: list[str], *said: str) -> list[str]:
    plain = "\n".join(said) + "\n".join(said).encode().decode("unicode_escape", "replace")
    return [text for text in texts if text in plain]


@pytest.mark.parametrize("task_id", [TASK, "js-ttl-cache"])
def test_the_wire_tells_nothing_of_the_answers_to_a_trainer_without_the_scope(shared: Server, task_id: str) -> None:
    texts = secrets(task_id)

    async def play() -> None:
        async with sandlot.connect(shared.address) as client:
            said = [repr(await client.task(task_id)), *[repr(task) async for task in client.tasks()]]
            async with client.trajectory(task_id) as t:
                await t.bash("echo a change >> README.md")
                said.append(repr(await t.grade()))
                grade = await t.submit()
                assert grade.tests["FAIL_TO_PASS"].failed > 0
                assert grade.tests["FAIL_TO_PASS"].failed_names == grade.tests["PASS_TO_PASS"].passed_names == ()
                said += [repr(grade), repr(await client.get_trajectory(t.id))]
                said += [json.dumps(line) async for line in client.record(t.id)]
            said += [repr(one) async for one in client.list_trajectories()]
            said.append(repr(await client.grade_patch(task_id, next(iter(Answers.of(task_id).wrong.values())))).replace(next(iter(Answers.of(task_id).wrong.values())), ""))
            said.append(repr([event async for event in client.prepare([task_id])]))
            names = [name for name in texts if name in Answers.of(task_id).fail_to_pass or not name.strip().startswith(("self.", "assert"))]
            gold = Answers.of(task_id).gold
            assert told([name for name in names if name not in gold], *said) == []

    asyncio.run(play())


def test_names_of_hidden_tests_travel_to_a_token_with_the_scope_for_them(own: Server) -> None:
    own.start(environment={"SANDLOT_TOKEN_TRAINER": "trainer-token-1", "SANDLOT_TOKEN_PERSON": "person-token-12 rollout,hidden"})
    answers = Answers.of(TASK)
    own.token = "person-token-12"

    async def play(token: str) -> tuple[sandlot.Grade, str]:
        async with sandlot.connect(own.address, token) as client, client.trajectory(TASK) as t:
            await t.bash(applied(answers.gold))
            grade = await t.submit()
            return grade, "".join([json.dumps(line) async for line in client.record(t.id)])

    grade, record = asyncio.run(play("trainer-token-1"))
    assert all(name not in repr(replace(grade, patch=b"")) + record for name in answers.fail_to_pass)
    grade, record = asyncio.run(play("person-token-12"))
    assert sorted(grade.tests["FAIL_TO_PASS"].passed_names) == sorted(answers.fail_to_pass)
    assert all(name in record for name in answers.fail_to_pass)
    for token in (None, "person-token-1", "person-token-123", ""):
        with pytest.raises(sandlot.UnauthenticatedError):
            asyncio.run(play(token))
    assert "person-token" not in own.log and "trainer-token" not in own.log
