"""Ends and starts of the server: what stays, what goes on, what is refused."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sandlot
from bundled import Answers, applied, task_file
from raw import TASK, bash, create, refused, stub
from sandlot._gen import rollout_service_pb2 as pb
from server import CLI, DEADLINE_S, NAP, ROOT, Server, wake

GOLD = Answers.of(TASK).gold


def nothing_left(server: Server) -> None:
    left = {what: found for what, found in server.leftovers().items() if found}
    assert left == {}, left
    below = [pid for pid in os.listdir("/proc") if pid.isdigit() and str(server.state) in command_of(pid)]
    assert below == []
    assert not [path for path in ("runtime", "sandboxes") if (server.state / path).exists() and any((server.state / path).iterdir())]


def command_of(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


@contextmanager
def restarting(server: Server) -> Iterator[None]:
    """Starts the server again when it has ended."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            if server.ended:
                server.start()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_with_nobody_alive_leaves_nothing(own: Server, name: signal.Signals) -> None:
    begun = time.monotonic()
    own.start()
    slowness_s = time.monotonic() - begun

    async def play() -> None:
        async with sandlot.connect(own.address) as client, client.trajectory(TASK) as t:
            await t.bash("(sleep 1000 &)")
            await t.submit()

    asyncio.run(play())
    assert own.process
    own.process.send_signal(name)
    begun = time.monotonic()
    assert own.process.wait(timeout=DEADLINE_S) == 0
    assert time.monotonic() - begun < max(8, 4 * slowness_s), "it waits for nobody"
    nothing_left(own)
    assert not (own.folder / "ready").exists()


def test_live_trajectories_go_on_after_a_stop_with_the_same_files_folder_variables_and_processes(own: Server, isolated: None) -> None:
    own.start()

    async def leave() -> None:
        async with sandlot.connect(own.address) as client:
            t = await client.trajectory(TASK, attempt_id="stays", labels={"run_id": "1"}).open()
            await t.bash(f"{applied(GOLD)}; mkdir /tmp/d; cd /tmp/d; export A='1 2'; (while sleep 0.05; do echo t >> /tmp/ticks; done) & until [ -s /tmp/ticks ]; do sleep 0.05; done")
            await t.execute("str_replace_editor", {"command": "create", "path": "/tmp/d/f", "file_text": "x\n"})

    asyncio.run(leave())
    assert own.stop() == 0
    left = [path.name for path in (own.state / "sandboxes").iterdir()]
    assert len(left) == 1, "the warm ones are gone, the live one is not"
    own.start()

    async def come_back() -> None:
        async with sandlot.connect(own.address) as client, client.trajectory(TASK, attempt_id="stays", labels={"run_id": "1"}) as t:
            assert (await t.bash('pwd; echo "$A"; cat f')).text == "/tmp/d\n1 2\nx\n"
            assert (await t.bash("before=$(wc -l < /tmp/ticks); until [ $(wc -l < /tmp/ticks) -gt $before ]; do sleep 0.05; done")).kind == "OK"
            assert "removed" in (await t.execute("str_replace_editor", {"command": "undo_edit", "path": "/tmp/d/f"})).text
            assert (await t.bash("true", step=6)).step == 6
            assert (await t.submit()).reward == 1.0

    asyncio.run(come_back())


def test_a_stop_waits_for_a_short_step_and_a_long_one_or_a_grade_goes_on_behind_it(own: Server, isolated: None) -> None:
    own.folder.mkdir(parents=True, exist_ok=True)
    own.tasks.append(task_file(own.folder, "slow", delay_s=NAP, grader={"timeoutMs": 600_000}))
    own.start()

    async def play() -> None:
        async with sandlot.connect(own.address, patience=300) as client:
            short = await client.trajectory(TASK).open()
            long = await client.trajectory(TASK).open()
            graded = await client.trajectory("slow").open()
            await graded.bash("sed -i 's/ + 1//' sums.py")
            grade = asyncio.create_task(graded.submit())
            steps = asyncio.gather(short.bash("sleep 2; echo x >> /tmp/n; wc -l < /tmp/n"), long.bash(f"sleep {NAP}; echo x >> /tmp/n; wc -l < /tmp/n"))
            while [one.last_step async for one in client.list_trajectories()] != [1, 1, 1]:
                await asyncio.sleep(0.05)
            assert await asyncio.to_thread(own.stop) == 0
            assert [written(own, t.id) for t in (short, long)] == [["created", "step", "result"], ["created", "step"]]
            assert "grade" not in written(own, graded.id)
            await asyncio.to_thread(own.start)
            async with asyncio.timeout(300):
                while not (steps.done() and grade.done()):
                    wake()  # the tests are run anew by the next server, and nap again
                    await asyncio.sleep(0.1)
            assert [result.text for result in await steps] == ["1\n", "1\n"]
            assert ((await grade).reward, (await grade).validity) == (1.0, "VALID")
            assert [line["type"] async for line in client.record(graded.id)].count("grade") == 1
            await graded.release()
            for t in (short, long):
                assert [line["type"] async for line in client.record(t.id)] == ["created", "step", "result"]
                await t.release()

    asyncio.run(play())


def written(server: Server, trajectory_id: str) -> list[str]:
    """The types of the lines that its journal has."""
    [path] = (server.state / "trajectories").glob(f"*{trajectory_id}*/journal.jsonl")
    return [json.loads(line)["type"] for line in path.read_text().splitlines()]


def test_while_it_stops_new_work_and_what_waits_in_line_is_refused_as_draining(own: Server) -> None:
    own.config += "pools: { default: { slots: 1 } }\n"
    own.start()

    async def play() -> None:
        async with stub(own) as service:
            name = (await create(service, "a")).id
            running = service.Execute(bash(name, "c", f"sleep {NAP}; echo done"), timeout=300)
            while (await service.GetTrajectory(pb.GetTrajectoryRequest(trajectory_id=name))).last_step == 0:
                await asyncio.sleep(0.02)
            waits = asyncio.create_task(refused(create(service, "waits")))
            while (await service.GetServerInfo(pb.GetServerInfoRequest())).pools["default"].queued == 0:
                await asyncio.sleep(0.02)
            assert own.process
            own.process.send_signal(signal.SIGTERM)
            while not (await service.GetServerInfo(pb.GetServerInfoRequest())).draining:
                await asyncio.sleep(0.02)
            for call in (create(service, "b"), service.Execute(bash(name, "d", "true")), service.Grade(pb.GradeRequest(trajectory_id=name))):
                error = await refused(call)
                assert error.fault == "draining" and error.retry_after
            assert (await waits).fault == "draining"
            assert wake() == 1
            assert (await running).text == "done\n", "what runs is waited for"
            await asyncio.to_thread(own.stop)

    asyncio.run(play())


@pytest.mark.parametrize("delay_s", [0.1, 0.5, 1.2])
def test_a_kill_while_it_grades_costs_a_pause_and_the_grade_is_the_same(own: Server, isolated: None, delay_s: float) -> None:
    own.folder.mkdir(parents=True, exist_ok=True)
    own.tasks.append(task_file(own.folder, "slow", delay_s=1))
    own.start()

    async def play() -> None:
        async with sandlot.connect(own.address, patience=300) as client, client.trajectory("slow") as t:
            await t.bash("sed -i 's/ + 1//' sums.py")
            grading = asyncio.create_task(t.submit())
            await asyncio.sleep(delay_s)  # anywhere in the grade
            own.kill()
            with restarting(own):
                grade = await grading
                assert (grade.reward, grade.validity, grade.submitted) == (1.0, "VALID", True)
                assert [line["type"] async for line in client.record(t.id)].count("grade") == 1
                assert await t.submit() == grade

    asyncio.run(play())


@pytest.mark.parametrize("delay_s", [0.05, 0.3, 0.6])
def test_a_kill_while_an_environment_is_prepared_leaves_nothing_half_made(own: Server, isolated: None, delay_s: float) -> None:
    own.start()

    async def play() -> None:
        async with sandlot.connect(own.address, patience=300) as client:
            t = client.trajectory(TASK)
            opening = asyncio.create_task(t.open())
            await asyncio.sleep(delay_s)  # anywhere in the preparation
            own.kill()
            with restarting(own):
                await opening
                assert (await t.bash("git status --short; git log --oneline | wc -l")).exit_code == 0
                assert (await t.submit()).outcome == "EMPTY_PATCH"
                await t.release()

    asyncio.run(play())
    assert list((own.state / "environments" / ".making").iterdir()) == []


def test_a_kill_while_idle_is_followed_by_a_start_that_removes_what_belongs_to_nobody(own: Server, isolated: None) -> None:
    own.start()

    async def play() -> None:
        async with sandlot.connect(own.address) as client, client.trajectory(TASK) as t:
            await t.bash("true")

    asyncio.run(play())
    Server.wait_until(lambda: len(list((own.state / "sandboxes").iterdir())) == 2, "two warm sandboxes")
    own.kill()
    assert own.leftovers()["processes"], "warm sandboxes outlive a kill"
    own.start()
    assert own.stop() == 0
    nothing_left(own)


def text_of(path: Path) -> str:
    """Empty when there is no such file, also when it goes just now."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def test_the_ready_file_is_removed_at_the_start_and_is_whole_when_it_is_there(own: Server) -> None:
    own.folder.mkdir(parents=True, exist_ok=True)
    ready = own.folder / "any-port"
    ready.write_text("stale")
    command = [*CLI, "serve", "--state", str(own.state), "--listen", "127.0.0.1:0", "--ready-file", str(ready)]
    with open(own.folder / "log", "ab") as log:
        server = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    seen = {"stale"}
    until = time.monotonic() + DEADLINE_S
    while not (address := text_of(ready)).startswith("127.0.0.1:"):
        seen.add(address)
        assert time.monotonic() < until
    assert seen <= {"stale", ""}

    async def works() -> int:
        async with sandlot.connect(address.strip()) as client:
            return (await client.info()).tasks

    assert asyncio.run(works()) == 8
    assert not address.strip().endswith(":0")
    server.terminate()
    assert server.wait(timeout=DEADLINE_S) == 0
    assert not ready.exists()


def test_a_second_server_on_the_same_state_changes_nothing_of_the_first(own: Server) -> None:
    own.start()

    async def play() -> None:
        async with sandlot.connect(own.address) as client, client.trajectory(TASK) as t:
            await t.bash("echo x > /tmp/x")
            command = [*CLI, "serve", "--state", str(own.state), "--listen", "127.0.0.1:0", "--ready-file", str(own.folder / "second")]
            second = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S)
            assert second.returncode == 1 and "in use by the process" in second.stderr
            assert not (own.folder / "second").exists()
            assert (await t.bash("cat /tmp/x")).text == "x\n"

    asyncio.run(play())


def test_an_address_that_is_taken_is_said_and_leaves_nothing(own: Server) -> None:
    with socket.create_server(("127.0.0.1", own.port)):
        with pytest.raises(AssertionError, match="(?i)in use"):
            own.start()
    assert own.process and own.process.returncode == 1
    own.process = None
    assert not (own.state / "instance").exists() or not any(own.leftovers().values())
