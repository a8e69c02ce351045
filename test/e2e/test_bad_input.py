"""Input that nobody should send, and commands that nobody should run: each gets its answer, and nobody else notices."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import sandlot
from bundled import task_file
from raw import TASK, refused, stub
from sandlot._gen import rollout_service_pb2 as pb
from server import CLI, ROOT, Server

MIB = 1 << 20
Scene = Callable[[sandlot.Client, sandlot.Trajectory], Awaitable[None]]


def play(server: Server, scene: Scene, **facts: object) -> None:
    """Runs a scene with a fresh trajectory; afterwards another one is as well as ever."""

    async def run() -> None:
        async with sandlot.connect(server.address) as client:
            async with client.trajectory(TASK, **facts) as t:
                await scene(client, t)
            async with client.trajectory(TASK) as other:
                assert (await other.bash("echo well")).text == "well\n"

    asyncio.run(run())


def rss_mib(server: Server) -> float:
    assert server.process
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("not json", "not JSON"),
        ("[1, 2]", "a list"),
        ('"text"', "a string"),
        ("null", "null"),
        ("", "`command` missing"),
        ("{}", "`command` missing"),
        ('{"command": 7}', "expected a string, got an integer"),
        ('{"command": {"a": 1}}', "expected a string, got an object"),
        ('{"command": "true", "stateless": "yes"}', "expected a boolean"),
        ('{"command": "echo a\\u0000b"}', "NUL"),
        ('{"command": "true", "timeout": 5}', 'no parameter "timeout"'),
        ('{"command": "true", "__proto__": 5}', "no parameter"),
        ("[" * 100_000, "not JSON"),
        ('{"command": "' + "x" * (10 * MIB) + '"}', "at most 1048576 bytes, got 10485"),
    ],
    ids=lambda value: value[:30],
)
def test_arguments_that_cannot_be_used_are_an_observation_that_says_why(shared: Server, arguments: str, words: str) -> None:
    async def scene(client: sandlot.Client, t: sandlot.Trajectory) -> None:
        result = await t.execute("bash", arguments)
        assert (result.kind, result.exit_code, result.step) == ("TOOL_ERROR", None, 1)
        assert words in result.text and len(result.text) < 2000
        turn = await t.step([{"id": "x", "name": "bash", "arguments": arguments}])
        assert turn.results[0].kind == "TOOL_ERROR" and words in turn.observations[0]["content"]

    play(shared, scene)


def test_a_tool_that_there_is_not_is_an_observation_that_names_the_tools(shared: Server) -> None:
    async def scene(client: sandlot.Client, t: sandlot.Trajectory) -> None:
        for name in ("", "Bash", "constructor", "bash\0", "x" * 100_000, "../bash", "b\ud800sh"):
            result = await t.execute(name, "{}")
            assert result.kind == "TOOL_ERROR" and "bash, str_replace_editor, submit_solution" in result.text
            assert len(result.text) < 500

    play(shared, scene)


def test_paths_that_no_editor_can_open_are_observations(shared: Server) -> None:
    async def scene(client: sandlot.Client, t: sandlot.Trajectory) -> None:
        await t.bash("mkfifo /tmp/fifo; ln -s /tmp/loop /tmp/loop; head -c 3000000 /dev/zero > /tmp/big; printf '\\377\\376' > /tmp/binary; ln -s /dev/zero /tmp/endless")
        for path in ("/tmp/fifo", "/tmp/loop", "/tmp/big", "/tmp/binary", "/tmp/endless", "/dev/zero", "/" + "x" * 5000, "/testbed/\n"):
            for command in ({"command": "view"}, {"command": "str_replace", "old_str": "a", "new_str": "b"}):
                result = await t.execute("str_replace_editor", {**command, "path": path})
                assert result.kind == "TOOL_ERROR", path
                assert result.timings.server_ms < 60_000
        assert (await t.execute("str_replace_editor", {"command": "create", "path": "/proc/1/x", "file_text": ""})).kind == "TOOL_ERROR"

    play(shared, scene)


def test_a_command_that_prints_a_gibibyte_costs_the_server_no_memory(shared: Server) -> None:
    async def scene(client: sandlot.Client, t: sandlot.Trajectory) -> None:
        await t.bash("head -c 8M /dev/zero | tr '\\0' x")
        before, highest = rss_mib(shared), 0.0
        running = asyncio.create_task(t.bash("echo begin; head -c 1G /dev/zero | tr '\\0' x; echo; echo end", timeout_ms=900_000))
        while not running.done():
            highest = max(highest, rss_mib(shared))
            await asyncio.sleep(0.05)
        result = running.result()
        assert highest - before < 300, f"{before:.0f} MiB before, {highest:.0f} at most"
        assert result.output_bytes == (1 << 30) + len("begin\n\nend\n") and result.output_truncated
        assert result.text.startswith("begin\n") and result.text.endswith("end\n") and len(result.text.encode()) <= 16384
        spilled = await t.bash(f"stat -c %s {result.spill_path}; head -c 5 {result.spill_path}")
        assert spilled.text == f"{64 * MIB}\nbegin"
        streamed = 0
        async for event in t.execute_stream("bash", {"command": "head -c 100M /dev/zero"}):
            streamed += len(event.data)
        assert 0 < streamed <= 100 * MIB and event.result and event.result.output_bytes == 100 * MIB
        assert rss_mib(shared) - before < 300

    play(shared, scene)


def test_a_flood_in_the_background_hinders_none_of_the_next_twenty_steps(shared: Server) -> None:
    async def scene(client: sandlot.Client, t: sandlot.Trajectory) -> None:
        assert (await t.bash("yes & echo $! > /tmp/pid", timeout_ms=120_000)).kind == "OK"
        before = rss_mib(shared)
        for number in range(20):
            result = await t.bash(f"echo {number}", timeout_ms=120_000)
            assert (result.kind, result.text) == ("OK", f"{number}\n")
        assert (await t.bash("kill -0 $(cat /tmp/pid) && echo runs")).text == "runs\n"
        assert rss_mib(shared) - before < 300

    play(shared, scene)


# Long enough for each of them to have begun, also where that is slow.
LIMIT_MS = 5000
STUBBORN = {
    "ignores SIGTERM": "trap '' TERM INT HUP; echo begun; while :; do sleep 0.1; done",
    "forks twice into a session of its own": "(setsid sh -c 'trap \"\" TERM; exec sleep 12345' &) ; (setsid setsid sleep 12345 & disown) & echo begun; sleep 12345",
    "stops itself": "echo begun; kill -STOP $$",
    "closes its output": "echo begun; exec >&- 2>&-; sleep 12345",
    "gives its output away": "echo begun; exec >/dev/null 2>&1; sleep 12345",
    "leaves the process group": "echo begun; python3 -c 'import os,time\nfor n in range(20):\n  if os.fork() == 0: os.setsid(); time.sleep(12345)\ntime.sleep(12345)'",
}


def test_at_its_time_out_a_command_ends_with_all_its_processes_however_stubborn_it_is(shared: Server, isolated: None) -> None:
    """All at once, since each takes its time."""

    async def one(client: sandlot.Client, how: str) -> None:
        async with client.trajectory(TASK) as t:
            result = await t.bash(STUBBORN[how], timeout_ms=LIMIT_MS)
            assert (result.kind, result.text.split("\n")[0]) == ("TIMED_OUT", "begun"), how
            assert result.timings.command_ms < LIMIT_MS + 60_000, how
            left = await t.bash("ps -eo args= | grep -c '[s]leep 12345'; ps -e | wc -l")
            assert left.text.split()[0] == "0", how
            assert int(left.text.split()[1].strip("[")) < 10, how

    async def scene(client: sandlot.Client, t: sandlot.Trajectory) -> None:
        await asyncio.gather(*(one(client, how) for how in STUBBORN))

    play(shared, scene)


def test_a_command_that_replaces_its_output_or_writes_to_every_descriptor_forges_nothing(shared: Server, isolated: None) -> None:
    scribble = "for p in /proc/[0-9]*; do for f in $p/fd/*; do head -c 65536 /dev/urandom > $f; done; done 2>/dev/null; for f in $(seq 0 255); do printf 'exit 0 {\"exit\":0}' >&$f; done 2>/dev/null; exit 3"

    async def scene(client: sandlot.Client, t: sandlot.Trajectory) -> None:
        assert (await t.bash("exec > /tmp/elsewhere; echo hidden; exit 4")).exit_code == 4
        assert (await t.bash("exec >&-; exit 5")).exit_code == 5
        result = await t.bash(scribble, timeout_ms=120_000)
        assert result.exit_code == 3 or result.signal, result.text[-200:]
        assert (await t.bash("echo whole; exit 6")).exit_code == 6
        assert (await t.bash("echo whole")).text == "whole\n"

    play(shared, scene)


def test_output_that_is_no_utf_8_is_replaced_in_the_text_and_whole_in_the_stream(shared: Server) -> None:
    async def scene(client: sandlot.Client, t: sandlot.Trajectory) -> None:
        data = b""
        async for event in t.execute_stream("bash", {"command": "printf 'a\\377\\0\\302b\\355\\240\\200'"}):
            data += event.data
        assert data == b"a\xff\x00\xc2b\xed\xa0\x80"
        assert event.result and event.result.text == data.decode(errors="replace")
        named = await t.bash("cd /tmp; printf x > $'\\377\\n'; ls | wc -l; cd $'\\377' 2>/dev/null; mkdir $'d\\376' && cd $'d\\376'; pwd | od -c | head -1")
        assert named.exit_code == 0
        assert "on\n" in (await t.bash("echo on")).text, "a folder that cannot be written as text is not kept"
        assert (await t.submit()).validity == "VALID"

    play(shared, scene)


def test_bytes_that_are_no_grpc_disturb_nobody(shared: Server) -> None:
    host, port = shared.address.split(":")
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01" + b"\0" * 500, bytes(range(256)) * 4096, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100_000, b""):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            try:
                connection.sendall(data)
                connection.settimeout(0.2)
                connection.recv(100)
            except OSError:
                pass

    async def scene(client: sandlot.Client, t: sandlot.Trajectory) -> None:
        async with stub(shared) as service:
            big = await refused(service.Execute(pb.ExecuteRequest(trajectory_id=t.id, call_id="c", tool="bash", arguments_json="x" * (65 * MIB))))
            assert big.fault == "invalid"

    play(shared, scene)


def serve_refuses(server: Server, *arguments: str) -> str:
    command = [*CLI, "serve", "--state", str(server.state), "--listen", "127.0.0.1:0", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 1, ended.stdout
    assert "    at " not in ended.stderr, "no stack trace for what a person mistook"
    return ended.stderr


def test_a_task_row_or_setting_that_cannot_be_right_stops_the_start_and_is_named(own: Server) -> None:
    own.folder.mkdir(parents=True, exist_ok=True)
    good = task_file(own.folder, "good").read_text()
    rows = own.folder / "rows.jsonl"
    for change, words in [
        ({"instruction": None}, "rows.jsonl:2: instruction: expected"),
        ({"environment": {"baseCommit": "main"}}, "rows.jsonl:2: environment.baseCommit: expected a full commit id"),
        ({"colour": "red"}, "rows.jsonl:2: colour: expected a key of id, source,"),
        ({"grader": {"failToPass": []}}, "rows.jsonl:2: grader.failToPass: expected"),
        ({"grader": {"script": "true"}}, "rows.jsonl:2: grader.script: expected"),
        ({"grader": {"parser": "pytest"}}, 'rows.jsonl:2: grader.parser: expected the name of a parser that the rule has, perhaps parse_log_pytest, got "pytest"'),
    ]:
        rows.write_text(good + task_file(own.folder, "bad", **change).read_text())
        assert words in serve_refuses(own, "--tasks", str(rows))
    rows.write_text(good + "{\n")
    assert "rows.jsonl:2: (row): expected one JSON object" in serve_refuses(own, "--tasks", str(rows))
    assert "no-such-file" in serve_refuses(own, "--tasks", "no-such-file")
    config = own.folder / "bad.yaml"
    config.write_text("lease_ms: 5\nlimits:\n  defaults:\n    memory: 5\n")
    assert f"{config}:4:5: limits.defaults.memory: " in serve_refuses(own, "--config", str(config))


def test_a_task_that_cannot_be_set_up_is_the_tasks_fault_and_others_are_played(own: Server) -> None:
    own.folder.mkdir(parents=True, exist_ok=True)
    own.tasks = [
        task_file(own.folder, "no-repository", environment={"repository": {"type": "path", "path": "/no/such/repository"}}),
        task_file(own.folder, "no-commit", environment={"baseCommit": "1" * 40}),
        task_file(own.folder, "no-setup", environment={"setup": {"type": "commands", "commands": ["echo what went wrong; exit 3"]}}),
        task_file(own.folder, "no-program", environment={"requires": ["no-such-program"]}),
    ]
    own.start()

    async def run() -> None:
        async with sandlot.connect(own.address) as client:
            for name, words in [("no-repository", "/no/such/repository"), ("no-commit", "1" * 40), ("no-setup", "what went wrong")]:
                with pytest.raises(sandlot.TaskFault) as caught:
                    await client.trajectory(name).open()
                assert words in str(caught.value)
                events = [event async for event in client.prepare([name, TASK])]
                assert {(event.task_id, event.fault) for event in events if event.done or event.fault} == {(name, "task"), (TASK, "")}
            unplayable = [task async for task in client.tasks("playable=false")]
            assert "no-program" in [task.id for task in unplayable]
            with pytest.raises((sandlot.UnsupportedError, sandlot.TaskFault), match="no-such-program"):
                await client.trajectory("no-program").open()
            with pytest.raises(sandlot.NotFoundError):
                await client.grade_patch("no-such-task", "")

    asyncio.run(run())
    assert own.stop() == 0
    environments = own.state / "environments"
    assert list((environments / ".making").iterdir()) == [], "nothing half-made is left"
    assert len([path for path in environments.iterdir() if not path.name.startswith(".")]) == 1, "that of the bundled task"
