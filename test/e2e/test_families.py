"""A task of each family from end to end: the fix gets 1; nothing, a wrong fix and a test that always passes get 0."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import families
import pytest
import sandlot
from bundled import applied
from conftest import ISOLATED, PROCESS, _end_all, _folder, base_config
from server import Server
from test_hidden import looked_at_until_watched, nothing_in, scan, told

pytestmark = pytest.mark.skipif(not ISOLATED, reason="the scripts of the families name absolute paths: they need the oci backend, which needs root here")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with _folder() as folder:
        server = Server(folder, config=base_config())
        server.tasks += families.task_sources(folder)
        yield server.start()
        _end_all(server)


@pytest.mark.parametrize("played", families.ALL, ids=lambda one: one.task_id)
def test_a_trajectory_gets_what_its_work_is_worth(server: Server, played: families.Played) -> None:
    async def play(patch: str) -> sandlot.Grade:
        async with sandlot.connect(server.address) as client, client.trajectory(played.task_id) as t:
            where = await t.bash("pwd && git status --porcelain && cat stock.py")
            assert where.text.startswith(f"{played.workdir}\n") and "len(counts)" in where.text, where.text
            if patch:
                assert (await t.bash(applied(patch))).exit_code == 0
            return await t.submit()

    gold = asyncio.run(play(families.GOLD))
    assert (gold.reward, gold.outcome, gold.validity) == (1.0, "RESOLVED", "VALID"), gold
    wrong = asyncio.run(play(families.WRONG))
    assert (wrong.reward, wrong.outcome) == (0.0, "UNRESOLVED"), wrong
    nothing = asyncio.run(play(""))
    assert (nothing.reward, nothing.outcome) == (0.0, "EMPTY_PATCH"), nothing
    own_tests = asyncio.run(play(families.WRONG_TESTS))
    assert (own_tests.reward, own_tests.validity) == (0.0, "VALID"), own_tests


def test_a_fix_that_also_edits_the_hidden_tests_gets_1_where_its_family_puts_them_back(server: Server) -> None:
    async def play(task_id: str) -> sandlot.Grade:
        async with sandlot.connect(server.address) as client:
            return await client.grade_patch(task_id, families.GOLD + families.WRONG_TESTS)

    for task_id in ("family-swe-bench", "family-swe-bench-classic", "family-swe-gym", "family-swe-rebench", "family-swe-rebench-v2", "family-swe-bench-live", "instance_acme__stock-1a2b3c4d-vnan"):
        grade = asyncio.run(play(task_id))
        assert (task_id, grade.reward, grade.outcome) == (task_id, 1.0, "RESOLVED")
    # Multi-SWE-bench applies both patches as one, SWE-smith where its tests are already.
    for task_id in ("acme__stock-7", families.SMITH):
        assert asyncio.run(play(task_id)).reward == 0.0


# The fix, the hidden tests and what runs and reads them, of every family; none of it is in the repository that an agent gets.
SECRETS = [
    families.HIDDEN,
    "return sum(counts.values())",
    'assert total({"nut": 2, "bolt": 3}) == 5',
    "assert total({'nut': 2, 'bolt': 3}) == 5",
    "test_still_fails",
    "r2e_tests",
    "Start Test Output",
    "EOF_114329324912",
    "EOF_OF_TESTS",
    "/logs/verifier",
    *(line for line in (families.PRO_PARSER + families.PARSER).splitlines() if len(line) > 20),
]


@pytest.mark.parametrize("played", families.ALL, ids=lambda one: one.task_id)
def test_a_policy_finds_nothing_of_the_answers_of_any_family_before_during_and_after_a_look_at_its_work(server: Server, played: families.Played) -> None:
    async def play() -> None:
        async with sandlot.connect(server.address) as client, client.trajectory(played.task_id, limits={"command_ms": 600_000}) as t:
            before = nothing_in((await t.bash(scan(SECRETS, "once"))).text, SECRETS)
            assert before["files"] > 5 and before["objects"] > 3, "it looked at something"
            await t.bash(applied(families.WRONG))
            await t.bash(f"({scan(SECRETS, 'watch')}) > /tmp/watched 2>&1 & until [ -e /tmp/watching ]; do sleep 0.01; done")
            look = await looked_at_until_watched(t)
            await t.bash("touch /tmp/stop-watching; until [ -s /tmp/watched ]; do sleep 0.05; done; rm /tmp/stop-watching")
            nothing_in((await t.bash("cat /tmp/watched")).text, SECRETS)
            nothing_in((await t.bash(scan(SECRETS, "once"))).text, SECRETS)
            said = [repr(t.messages), repr(t.tools), repr(look), repr(await t.submit())]
            said += [repr(await client.task(played.task_id)), repr(await client.get_trajectory(t.id))]
            said += [json.dumps(line) async for line in client.record(t.id)]
            said.append(repr([event async for event in client.prepare([played.task_id])]))
            assert told(SECRETS, *said) == []

    asyncio.run(play())


def test_a_row_that_needs_an_image_is_refused_by_a_backend_without_images_with_the_name_of_what_is_missing(own: Server) -> None:
    rows = [{name: value for name, value in (one.row or {}).items() if name not in families.LOCAL} for one in families.ALL if one.row]
    rows = [row for row in rows if row.get("instance_id") != "family-swe-bench-classic"]
    path = own.folder / "images.jsonl"
    own.folder.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    own.tasks = [path]
    own.config = PROCESS + "tasks: { bundled: false }\n"
    own.start()

    async def play() -> None:
        async with sandlot.connect(own.address) as client:
            tasks = [task async for task in client.tasks()]
            assert len(tasks) == len(rows)
            for task in tasks:
                assert not task.playable and "the capability images" in task.unplayable_reason
                for refused in (client.trajectory(task.id).open(), client.grade_patch(task.id, families.GOLD)):
                    with pytest.raises(sandlot.UnsupportedError, match="the capability images: its environment is the image "):
                        await refused
            events = [event async for event in client.prepare([tasks[0].id])]
            assert events[-1].stage == "failed" and events[-1].fault == "unsupported"

    asyncio.run(play())
