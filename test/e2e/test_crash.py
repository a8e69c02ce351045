"""kill -9 at every journal write of a rollout: the client sees a pause, and nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sandlot
from server import Server

TASK = "py-interval-merge"
# created, four steps of two lines, a turn of two and its two steps of two, a look and a final grade of three each, ended
LINES = 1 + 4 * 2 + 2 + 2 * 2 + 3 + 3 + 1


@contextmanager
def restarted_when_dead(server: Server, crash_at: str = "") -> Iterator[list[int]]:
    """Starts the server again each time it died, the last time whole; the exit codes."""
    over = threading.Event()
    deaths: list[int] = []

    def watch() -> None:
        while not over.wait(0.05):
            if server.ended and server.process is not None:
                deaths.append(server.process.returncode)
                server.start(crash_at)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield deaths
    finally:
        over.set()
        thread.join()
        if crash_at:
            server.kill()
            server.start()


async def rollout(address: str) -> dict[str, object]:
    """A short rollout that shows whether a step ran twice, and whether files, folder and variables are the same."""
    async with sandlot.connect(address, patience=300) as client, client.trajectory(TASK, attempt_id="attempt", labels={"run_id": "crash"}) as t:
        first = await t.bash("mkdir -p /tmp/a && cd /tmp/a && export COLOUR='two words' && echo x >> n")
        second = await t.bash('echo "$COLOUR $PWD"; sleep 0.2; echo x >> n; wc -l < n', step=2)
        await t.execute("str_replace_editor", {"command": "create", "path": "/tmp/a/f", "file_text": "one\n"})
        undone = await t.execute("str_replace_editor", {"command": "str_replace", "path": "/tmp/a/f", "old_str": "one", "new_str": "two"})
        turn = await t.step([{"id": "1", "name": "bash", "arguments": '{"command": "echo x >> n"}'}, {"id": "2", "name": "bash", "arguments": '{"command": "cat n f"}'}])
        look = await t.grade()
        grade = await t.submit()
        return {
            "id": t.id,
            "exit": [first.exit_code, second.exit_code],
            "second": second.text,
            "edited": "two" in undone.text,
            "turn": turn.results[1].text,
            "steps": [first.step, second.step, *[result.step for result in turn.results]],
            "look": [look.reward, look.outcome],
            "grade": [grade.reward, grade.validity, grade.outcome, grade.submitted],
            "again": (await t.submit()).id == grade.id,
        }


EXPECTED: dict[str, object] = {
    "exit": [0, 0],
    "second": "two words /tmp/a\n2\n",
    "edited": True,
    "turn": "x\nx\nx\ntwo\n",
    "steps": [1, 2, 5, 6],
    "look": [0.0, "EMPTY_PATCH"],
    "grade": [0.0, "VALID", "EMPTY_PATCH", True],
    "again": True,
}


def records_each_step_once(server: Server, trajectory_id: str) -> None:
    async def lines() -> list[dict[str, object]]:
        async with sandlot.connect(server.address) as client:
            return [line async for line in client.record(trajectory_id)]

    found = asyncio.run(lines())
    for kind in ("step", "result", "turn", "turn_result", "grade", "ended"):
        keys = [line.get("key", kind) for line in found if line["type"] == kind]
        assert len(keys) == len(set(keys)), f"{kind} more than once: {keys}"
    assert [line["type"] for line in found][0] == "created"
    assert [line["type"] for line in found][-1] == "ended"


def test_a_server_killed_after_each_journal_write_goes_on_where_it_was(own: Server, isolated: None) -> None:
    """Every server of this rollout dies at its first write: each write is the last of one."""
    own.start(crash_at="1:after")
    with restarted_when_dead(own, crash_at="1:after") as deaths:
        got = asyncio.run(rollout(own.address))
    trajectory_id = str(got.pop("id"))
    assert got == EXPECTED
    assert len(deaths) >= LINES, f"only {len(deaths)} writes were met"
    records_each_step_once(own, trajectory_id)


@pytest.mark.parametrize("crash_at", ["1:before", "6:torn", "13:before", "18:torn"])
def test_a_server_killed_before_or_within_a_journal_write_goes_on_where_it_was(own: Server, isolated: None, crash_at: str) -> None:
    own.start(crash_at=crash_at)
    with restarted_when_dead(own) as deaths:
        got = asyncio.run(rollout(own.address))
    trajectory_id = str(got.pop("id"))
    assert got == EXPECTED
    assert deaths == [-9]
    records_each_step_once(own, trajectory_id)


def test_a_client_killed_in_the_middle_of_a_command_comes_back_to_its_one_result(own: Server) -> None:
    own.start()

    async def begin(call_id: str) -> None:
        async with sandlot.connect(own.address) as client:
            t = await client.trajectory(TASK, attempt_id="mine").open()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(t.bash("sleep 2; echo x >> /tmp/n", call_id=call_id), 0.5)
            # no release: the client is gone

    async def come_back(call_id: str) -> tuple[str, bool]:
        async with sandlot.connect(own.address) as client, client.trajectory(TASK, attempt_id="mine") as t:
            again = await t.bash("sleep 2; echo x >> /tmp/n", call_id=call_id)
            count = await t.bash("wc -l < /tmp/n; rm /tmp/n")
            return count.text.strip(), again.exit_code == 0

    asyncio.run(begin("the-call"))
    assert asyncio.run(come_back("the-call")) == ("1", True)


def test_what_a_killed_server_left_without_an_owner_is_removed_at_the_next_start(own: Server, isolated: None) -> None:
    own.start()

    async def leave() -> None:
        async with sandlot.connect(own.address) as client:
            await client.trajectory(TASK, attempt_id="left").open()

    asyncio.run(leave())
    own.kill()
    assert own.leftovers()["processes"], "the sandbox lives on without the server"
    own.start()

    async def release() -> str:
        async with sandlot.connect(own.address) as client:
            t = await client.trajectory(TASK, attempt_id="left").open()
            text = (await t.bash("echo alive")).text
            await t.release()
            return text

    assert asyncio.run(release()) == "alive\n"
