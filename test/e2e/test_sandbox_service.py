"""What a harness does: programs and files, on a trajectory's sandbox and on bare ones."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import sandlot
from bundled import task_file
from conftest import FAKE_TASKS, PROCESS, _end_all, _folder, base_config
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from raw import TASK, bash, refused, release, stub
from sandlot._gen import rollout_service_pb2 as pb
from sandlot._gen import sandbox_service_pb2 as sandbox_pb
from sandlot._gen import trajectory_pb2
from sandlot.testing import FakeServer
from server import NAP, Server, Serving, wake
from test_crash import restarted_when_dead
from test_states import NOBODY, brought_to

OFFERED = "sandbox_service: { enabled: true }\npools: { default: {}, one: { slots: 1, queue: 2 } }\ngrading: { slots: 8 }\n"
SERVICE = "sandlot.v1.SandboxService"


@pytest.fixture(scope="module")
def offering() -> Iterator[Server]:
    """A running server that offers SandboxService."""
    with _folder() as folder:
        server = Server(folder, config=base_config() + OFFERED)
        server.tasks.append(task_file(folder, "slow", delay_s=NAP, grader={"timeoutMs": 600_000}))
        yield server.start()
        _end_all(server)


@pytest.fixture(scope="module", params=["server", "fake"])
def anyone_offering(request: pytest.FixtureRequest) -> Iterator[Serving]:
    """The same, and the fake that adapter authors test with."""
    if request.param == "server":
        yield request.getfixturevalue("offering")
    else:
        with FakeServer(FAKE_TASKS, pools={"default": (1000, 4096), "one": (1, 2)}) as fake:
            yield fake


def play(server: Serving, work: Any) -> Any:
    async def run() -> Any:
        async with sandlot.connect(server.address, patience=300) as client:
            return await work(client)

    return asyncio.run(run())


def test_a_bare_sandbox_runs_programs_and_keeps_both_streams_apart(offering: Server) -> None:
    async def work(client: sandlot.Client) -> None:
        async with client.sandbox(TASK, env={"COLOUR": "red"}, labels={"run": "h"}) as sandbox:
            assert sandbox.summary.bare and sandbox.summary.messages == [] and sandbox.summary.tools == []
            heard: list[tuple[str, bytes]] = []
            result = await sandbox.exec(
                'echo "out $COLOUR $SHAPE"; echo err >&2; cat; pwd >&2; exit 3',
                env={"SHAPE": "round"},
                stdin="fed\n",
                on_output=lambda event: heard.append((event.kind, event.data)),
            )
            assert (result.exit_code, result.kind, result.signal) == (3, "OK", 0)
            assert result.stdout == b"out red round\nfed\n"
            assert result.stderr.splitlines()[0] == b"err" and result.stderr.decode().strip().endswith(sandbox.workdir)
            assert {kind for kind, _ in heard} == {"stdout", "stderr"}
            assert (await sandbox.exec(["git", "log", "--oneline"])).exit_code == 0
            missing = await sandbox.exec(["no-such-program"])
            assert missing.exit_code == 127
            late = await sandbox.exec("echo begun; sleep 1000", timeout_ms=3000)
            assert (late.kind, late.exit_code, late.stdout, late.timeout_ms) == ("TIMED_OUT", None, b"begun\n", 3000)
            silent = await sandbox.exec("sleep 1000", no_output_ms=300)
            assert silent.kind == "TIMED_OUT"
            gone = await sandbox.exec("pwd", workdir="/no/such/folder")
            assert gone.exit_code == 0 and b"/no/such/folder" in gone.stderr
            assert (await client.get_trajectory(sandbox.id)).harness_calls == 6

    play(offering, work)


def test_files_are_written_and_read_whole_and_in_parts_and_what_is_no_file_is_told_apart(offering: Server) -> None:
    async def work(client: sandlot.Client) -> None:
        async with client.sandbox(TASK) as sandbox:
            data = bytes(range(256)) * 40_000  # more than one chunk and one piece
            at = f"{sandbox.workdir}/made/here.bin"
            await sandbox.write_file(at, data, mode=0o750)
            assert await sandbox.read_file(at) == data
            assert await sandbox.read_file(at, offset=5_000_000, max_bytes=6) == data[5_000_000:5_000_006]
            assert await sandbox.read_file(at, offset=len(data) + 5) == b""
            assert (await sandbox.exec(["stat", "-c", "%a", at])).stdout == b"750\n"
            await sandbox.write_file(at, "")
            assert await sandbox.read_file(at) == b""
            assert "here.bin" in await sandbox.list_folder(f"{sandbox.workdir}/made") and "made/" in await sandbox.list_folder(sandbox.workdir)
            with pytest.raises(FileNotFoundError):
                await sandbox.read_file(f"{sandbox.workdir}/nothing")
            with pytest.raises(IsADirectoryError):
                await sandbox.read_file(sandbox.workdir)
            with pytest.raises(NotADirectoryError):
                await sandbox.list_folder(at)
            with pytest.raises(OSError, match="not a regular file"):
                await sandbox.write_file(sandbox.workdir, b"x")
            with pytest.raises(NotADirectoryError):
                await sandbox.write_file(f"{at}/below", b"x")

    play(offering, work)


def test_a_sandbox_cannot_lead_a_read_or_a_write_astray(offering: Server, isolated: None) -> None:
    async def work(client: sandlot.Client) -> None:
        async with client.sandbox(TASK) as sandbox:
            # The host's own file of the same name differs.
            made = "mkfifo /tmp/fifo; ln -s /etc/hostname /tmp/link; ln -s /tmp/loop /tmp/loop; truncate -s 1E /tmp/endless || truncate -s 1T /tmp/endless; ln -s /dev/zero /tmp/zero; ln -s / /tmp/top"
            assert (await sandbox.exec(f"echo inside > /etc/hostname; {made}")).exit_code == 0
            for path in ("/tmp/fifo", "/tmp/zero", "/dev/zero"):
                with pytest.raises(OSError, match="Invalid argument"):
                    await asyncio.wait_for(sandbox.read_file(path), 120)
                with pytest.raises(OSError):
                    await asyncio.wait_for(sandbox.write_file(path, b"x" * 100_000), 120)
            assert await sandbox.read_file("/tmp/link") == b"inside\n"
            assert await sandbox.read_file("/tmp/top/etc/hostname") == b"inside\n"
            assert await sandbox.read_file("/tmp/../../../etc/hostname") == b"inside\n"
            with pytest.raises(OSError):
                await sandbox.read_file("/tmp/loop")
            with pytest.raises(OSError, match="more than"):
                await sandbox.read_file("/tmp/endless")
            assert await sandbox.read_file("/tmp/endless", max_bytes=10) == bytes(10)
            flood = await sandbox.exec("head -c 30000000 /dev/zero", keep_bytes=1000)
            assert flood.exit_code == 0 and flood.output_bytes == 30_000_000
            assert (await sandbox.exec("kill -9 -1; echo unreached")).signal == 9
            assert (await sandbox.exec("echo on")).stdout == b"on\n"

    play(offering, work)
    assert Path("/etc/hostname").read_text() != "inside\n"


def test_a_repeated_call_is_the_same_call_and_another_one_under_its_id_is_invalid(anyone_offering: Serving) -> None:
    async def work(client: sandlot.Client) -> None:
        async with client.sandbox(TASK, attempt_id="again and again") as sandbox:
            same = await client.sandbox(TASK, attempt_id="again and again").open()
            assert same.id == sandbox.id
            with pytest.raises(sandlot.InvalidError, match="attempt_id"):
                await client.sandbox(TASK, attempt_id="again and again", workdir="/tmp").open()
            count = f"{sandbox.workdir}/count"
            line = f"echo x >> {count}; sleep 0.5; echo said; echo so >&2"
            first, attached = await asyncio.gather(*(sandbox.exec(line, call_id="any text: ü/..") for _ in range(2)))
            again = await sandbox.exec(line, call_id="any text: ü/..")
            assert [one.stdout for one in (first, attached, again)] == [b"said\n"] * 3 and again.stderr == b"so\n"
            assert again.replayed and not first.replayed
            assert await sandbox.read_file(count) == b"x\n"
            with pytest.raises(sandlot.InvalidError, match="call_id"):
                await sandbox.exec(line, call_id="any text: ü/..", env={"A": "b"})
            with pytest.raises(sandlot.InvalidError, match="call_id"):
                await sandbox.write_file(count, b"", call_id="any text: ü/..")
            await sandbox.write_file(count, b"once", call_id="w")
            await sandbox.exec(f"echo more >> {count}")
            await sandbox.write_file(count, b"once", call_id="w")
            assert await sandbox.read_file(count) == b"oncemore\n"

    play(anyone_offering, work)


def test_what_a_harness_may_not_send_is_invalid_and_named(offering: Server) -> None:
    async def work() -> None:
        async with stub(offering) as service:
            bare = await service.Create(pb.CreateRequest(attempt_id="bad", sandbox=pb.SandboxSpec(task_id=TASK)), timeout=300)
            good = {"trajectory_id": bare.id, "call_id": "c", "argv": ["true"]}
            wrong: dict[str, dict[str, Any]] = {
                "argv": {"argv": []},
                "call_id": {"call_id": ""},
                "workdir": {"workdir": "tmp"},
                "env": {"env": {"A=B": "c"}},
                "keep_bytes": {"keep_bytes": (16 << 20) + 1},
                "timeout_ms": {"timeout_ms": 1 << 31},
            }
            for field, facts in wrong.items():
                error = await refused(_last(service.Exec(sandbox_pb.ExecRequest(**{**good, **facts}), timeout=120)))
                assert (error.fault, error.field) == ("invalid", field)
            long = await refused(_last(service.Exec(sandbox_pb.ExecRequest(**{**good, "argv": ["echo", "x" * (2 << 20)]}), timeout=120)))
            assert (long.fault, long.field) == ("invalid", "argv")
            assert (await refused(_last(service.ReadFile(sandbox_pb.ReadFileRequest(trajectory_id=bare.id, path="etc"), timeout=120)))).field == "path"
            assert (await refused(service.WriteFile(iter([]), timeout=120))).fault == "invalid"
            chunk = {"trajectory_id": bare.id, "call_id": "w", "path": "/tmp/x"}
            assert (await refused(service.WriteFile(iter([sandbox_pb.FileChunk(**chunk, mode=0o10000)]), timeout=120))).field == "mode"
            huge = [sandbox_pb.FileChunk(**chunk), *[sandbox_pb.FileChunk(data=bytes(4 << 20))] * 17]
            assert (await refused(service.WriteFile(iter(huge), timeout=300))).field == "data"
            for spec, fault in ((pb.SandboxSpec(), "invalid"), *((pb.SandboxSpec(image=path), "invalid") for path in ("docker-archive:/x.tar", "oci:/x", "docker://x/y", "../x", "-x")), (pb.SandboxSpec(task_id="no"), "not_found"), (pb.SandboxSpec(task_id=TASK, workdir="x"), "invalid")):
                assert (await refused(service.Create(pb.CreateRequest(attempt_id="worse", sandbox=spec), timeout=120))).fault == fault
            with_tools = pb.CreateRequest(attempt_id="worse", sandbox=pb.SandboxSpec(task_id=TASK), tools=["bash"])
            assert (await refused(service.Create(with_tools, timeout=120))).field == "tools"
            for call in (
                service.Execute(bash(bare.id, "c", "true"), timeout=120),
                service.Step(pb.StepRequest(trajectory_id=bare.id, call_id="s", calls=pb.ToolCalls()), timeout=120),
                service.Grade(pb.GradeRequest(trajectory_id=bare.id, finalize=True), timeout=120),
            ):
                assert (await refused(call)).fault == "unsupported"
            assert (await service.GetTrajectory(pb.GetTrajectoryRequest(trajectory_id=bare.id), timeout=120)).harness_calls == 0
            await release(service, bare.id)

    asyncio.run(work())


async def _last(stream: Any) -> Any:
    return [message async for message in stream][-1]


# State to what Exec, WriteFile and ReadFile find there.
TABLE = {
    "UNKNOWN": ("not_found", "not_found", "not_found"),
    "ACTIVE": ("runs", "runs", "runs"),
    "GRADING": ("ended", "ended", "ended"),
    "SUBMITTED": ("ended", "ended", "ended"),
    "ENDED": ("ended", "ended", "ended"),
}


@pytest.mark.parametrize("state", TABLE)
def test_each_call_answers_as_the_table_of_states_says(anyone_offering: Serving, state: str) -> None:
    async def work() -> None:
        async with stub(anyone_offering) as service, sandlot.connect(anyone_offering.address) as client:
            name, grading = await brought_to(service, state, f"harness {state}")
            sandbox = client.sandbox_of(name)
            calls = (sandbox.exec("true"), sandbox.write_file("/tmp/h", b""), sandbox.read_file("/etc/hostname", max_bytes=1))
            got = [await _word(call) for call in calls]
            while grading and not grading.done():
                wake()
                await asyncio.sleep(0.1)
            if name != NOBODY:
                await release(service, name)
            assert tuple(got) == TABLE[state]

    asyncio.run(work())


async def _word(call: Any) -> str:
    try:
        await call
    except sandlot.SandlotError as error:
        assert error.fault != "ended" or error.trajectory is not None
        return error.fault
    return "runs"


def test_a_trajectory_that_a_harness_touched_says_so_and_its_steps_do_not_notice(offering: Server) -> None:
    async def work(client: sandlot.Client) -> None:
        async with client.trajectory(TASK) as t:
            first = await t.bash("export COLOUR=red; cd /tmp")
            beside = asyncio.create_task(t.bash(f"until [ -s {t.summary.workdir}/notes.txt ]; do sleep 0.05; done; echo $COLOUR $PWD"))
            ran = await t.sandbox.exec("echo beside; pwd")
            assert ran.exit_code == 0 and not beside.done(), "at once, beside the step"
            await t.sandbox.write_file(f"{t.summary.workdir}/notes.txt", b"by a harness\n", call_id="w")
            assert await t.sandbox.read_file(f"{t.summary.workdir}/notes.txt") == b"by a harness\n"
            second = await beside
            assert (first.step, second.step) == (1, 2) and second.text.startswith("red ")
            assert second.left.steps == 98, "no step is used"
            assert (await client.get_trajectory(t.id)).harness_calls == 2
            answered = await t.sandbox.exec("echo kept", call_id="kept")
            grade = await t.submit()
            assert b"by a harness" in grade.patch, "what it wrote is in the submission, and the record says whose it is"
            assert (await t.sandbox.exec("echo kept", call_id="kept")).stdout == answered.stdout
        assert (await client.get_trajectory(t.id)).harness_calls == 3
        lines = [line async for line in client.record(t.id)]
        assert [line["type"] for line in lines if line["type"] in ("exec", "exec_result", "write", "write_result")] == ["exec", "exec_result", "write", "write_result", "exec", "exec_result"]
        wrote = next(line for line in lines if line["type"] == "write")
        assert wrote["path"].endswith("notes.txt") and wrote["bytes"] == 13
        assert lines[-1]["harnessCalls"] == 3
        async with client.trajectory(TASK) as untouched:
            assert (await client.get_trajectory(untouched.id)).harness_calls == 0

    play(offering, work)


def test_release_and_interrupt_end_a_running_program_and_its_tree(anyone_offering: Serving) -> None:
    async def work(client: sandlot.Client) -> None:
        sandbox = await client.sandbox(TASK).open()
        begun = asyncio.Event()
        running = asyncio.create_task(sandbox.exec("echo begun; sleep 1000", call_id="a", on_output=lambda _: begun.set()))
        await asyncio.wait_for(begun.wait(), 120)
        await sandbox.interrupt("b")
        await sandbox.interrupt("a")
        assert (await running).kind == "INTERRUPTED"
        begun.clear()
        running = asyncio.create_task(sandbox.exec("echo begun; sleep 1000 & sleep 1000", on_output=lambda _: begun.set()))
        await asyncio.wait_for(begun.wait(), 120)
        await sandbox.release()
        assert (await running).kind == "INTERRUPTED"
        Server.wait_until(lambda: sandbox.id not in str(anyone_offering.leftovers()), "the sandbox to go")

    play(anyone_offering, work)


def test_a_program_that_runs_while_its_trajectory_is_submitted_ends_with_the_sandbox(offering: Server) -> None:
    async def work(client: sandlot.Client) -> None:
        async with client.trajectory(TASK) as t:
            begun = asyncio.Event()
            line = "echo more >> README.md; echo begun; sleep 1000"
            running = asyncio.create_task(t.sandbox.exec(line, on_output=lambda _: begun.set()))
            await asyncio.wait_for(begun.wait(), 120)
            grade = await t.submit()
            with pytest.raises(sandlot.EndedError) as caught:
                await asyncio.wait_for(running, 120)
            assert caught.value.trajectory is not None and caught.value.trajectory.id == t.id
            assert (grade.validity, grade.outcome) == ("VALID", "UNRESOLVED")
            Server.wait_until(lambda: t.id not in str(offering.leftovers()), "the sandbox to go")

    play(offering, work)


def test_a_harness_that_breaks_the_sandbox_gets_results_and_the_record_says_so(offering: Server, isolated: None) -> None:
    async def work(client: sandlot.Client) -> None:
        async with client.trajectory(TASK, limits={"memory_mib": 64}) as t:
            eaten = await t.sandbox.exec(["python3", "-c", "x = bytearray(1 << 30)"])
            assert eaten.exit_code != 0 and eaten.oom_kills > 0
            assert (await t.sandbox.exec("rm -rf --no-preserve-root / 2>/dev/null; echo over")).kind == "OK"
            gone = await t.sandbox.exec(["ls"])
            assert gone.exit_code == 127
            with pytest.raises(FileNotFoundError):
                await t.sandbox.read_file("/testbed/README.md")
            grade = await t.submit()
            assert (grade.validity, grade.reward) == ("VALID", 0.0), "what happens inside is never infrastructure"

    play(offering, work)


def test_a_bare_sandbox_takes_a_place_and_goes_with_its_lease(anyone_offering: Serving) -> None:
    async def work() -> None:
        async with stub(anyone_offering) as service:
            spec = pb.SandboxSpec(task_id=TASK)
            first = await service.Create(pb.CreateRequest(attempt_id="place 1", sandbox=spec, pool="one", lease_ms=4000), timeout=300)
            waiting = service.Create(pb.CreateRequest(attempt_id="place 2", sandbox=spec, pool="one"), timeout=300)
            async with asyncio.timeout(120):
                while (await service.GetServerInfo(pb.GetServerInfoRequest(), timeout=120)).pools["one"].queued != 1:
                    await asyncio.sleep(0.02)
            second = await waiting  # once the lease of the first one has run out
            found = await service.GetTrajectory(pb.GetTrajectoryRequest(trajectory_id=first.id), timeout=120)
            assert found.ending == trajectory_pb2.ENDING_LEASE
            Server.wait_until(lambda: first.id not in str(anyone_offering.leftovers()), "the sandbox to go")
            await release(service, second.id)

    asyncio.run(work())


def test_a_server_killed_under_a_harness_goes_on_and_leaves_nothing(own: Server) -> None:
    own.config = base_config() + OFFERED
    own.start()

    async def before() -> str:
        async with sandlot.connect(own.address) as client:
            sandbox = await client.sandbox(TASK, attempt_id="mine").open()
            await client.sandbox(TASK, attempt_id="nobody's", lease_ms=2000).open()
            await sandbox.exec("echo kept", call_id="done")
            begun = asyncio.Event()
            running = asyncio.create_task(sandbox.exec(LONG, call_id="long", on_output=lambda _: begun.set()))
            await asyncio.wait_for(begun.wait(), 120)
            running.cancel()
            return sandbox.id

    async def after() -> None:
        async with sandlot.connect(own.address) as client:
            sandbox = await client.sandbox(TASK, attempt_id="mine").open()
            assert sandbox.id == name
            long = await sandbox.exec(LONG, call_id="long")
            assert long.stdout == b"begun\ndone\n" and long.exit_code == 0
            assert (await sandbox.exec("echo kept", call_id="done")).replayed
            assert await sandbox.read_file(f"{sandbox.workdir}/count") == b"x\n", "it ran once"
            assert (await client.get_trajectory(name)).harness_calls == 2
            async with asyncio.timeout(120):
                while [one async for one in client.list_trajectories("attempt_id=nobody's state=ACTIVE")]:
                    await asyncio.sleep(0.1)
            await sandbox.release()

    name = asyncio.run(before())
    own.kill()
    own.start()
    asyncio.run(after())
    assert own.stop() == 0
    assert not any(own.leftovers().values()), own.leftovers()


LONG = "echo x >> count; echo begun; sleep 3; echo done"


@pytest.mark.parametrize("crash_at", ["2:before", "2:after", "3:before", "3:torn", "4:after", "5:before"])
def test_a_server_killed_at_a_write_of_a_harness_call_runs_it_once(own: Server, isolated: None, crash_at: str) -> None:
    """Lines: created, exec, its result, write, its result."""
    own.config = base_config() + OFFERED
    own.start(crash_at=crash_at)
    with restarted_when_dead(own) as deaths:

        async def work(client: sandlot.Client) -> None:
            async with client.sandbox(TASK, attempt_id="crash") as sandbox:
                assert (await sandbox.exec("echo x >> count; cat count", call_id="e")).stdout == b"x\n"
                await sandbox.write_file(f"{sandbox.workdir}/count", b"y\n", call_id="w")
                assert await sandbox.read_file(f"{sandbox.workdir}/count") == b"y\n"

        play(own, work)
    assert deaths == [-9]


def test_a_server_that_does_not_offer_it_says_so_and_does_not_list_it(shared: Server) -> None:
    async def work(client: sandlot.Client) -> None:
        assert not (await client.info()).sandbox_service
        with pytest.raises(sandlot.UnsupportedError, match=r"sandbox_service\.enabled"):
            await client.sandbox(TASK).open()
        async with client.trajectory(TASK) as t:
            for call in (t.sandbox.exec("true"), t.sandbox.write_file("/tmp/x", b""), t.sandbox.read_file("/etc/hostname")):
                with pytest.raises(sandlot.UnsupportedError, match=r"sandbox_service\.enabled"):
                    await call

    play(shared, work)
    assert SERVICE not in services(shared)


def test_reflection_lists_the_service_with_all_of_its_calls_where_it_is_offered(offering: Server) -> None:
    assert SERVICE in services(offering)
    with grpc.insecure_channel(offering.address) as channel:
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        assert {method.name for method in pool.FindServiceByName(SERVICE).methods} == {"Exec", "ReadFile", "WriteFile"}


def services(server: Server) -> list[str]:
    with grpc.insecure_channel(server.address) as channel:
        return list(ProtoReflectionDescriptorDatabase(channel).get_services())


def test_a_backend_that_has_no_images_makes_no_sandbox_of_one(own: Server) -> None:
    own.config = PROCESS + OFFERED
    own.start()

    async def work(client: sandlot.Client) -> None:
        with pytest.raises(sandlot.UnsupportedError, match=r"sandbox\.image: the backend process ") as caught:
            await client.sandbox(image="acme/tool:1").open()
        assert (caught.value.field, caught.value.knob) == ("sandbox.image", "backend.type")
        assert [one async for one in client.list_trajectories()] == []

    play(own, work)


def test_it_takes_a_token_with_its_own_scope(own: Server) -> None:
    own.config = base_config() + OFFERED
    own.token = "admin-token"
    own.start(environment={"SANDLOT_TOKEN_A": "trainer-token rollout", "SANDLOT_TOKEN_B": "harness-token rollout,sandbox", "SANDLOT_TOKEN_C": "only-sandbox sandbox", "SANDLOT_TOKEN_D": "admin-token admin"})

    async def work() -> None:
        async with sandlot.connect(own.address, "harness-token") as harness, sandlot.connect(own.address, "trainer-token") as trainer:
            with pytest.raises(sandlot.ForbiddenError, match='scope "sandbox"'):
                await trainer.sandbox(TASK).open()
            async with harness.sandbox(TASK) as sandbox:
                assert (await sandbox.exec("echo in")).stdout == b"in\n"
                theirs = trainer.sandbox_of(sandbox.id)
                for call in (theirs.exec("true"), theirs.write_file("/tmp/x", b""), theirs.read_file("/etc/hostname")):
                    with pytest.raises(sandlot.ForbiddenError, match='scope "sandbox"'):
                        await call
        with pytest.raises(sandlot.ForbiddenError, match='scope "rollout"'):
            await sandlot.connect(own.address, "only-sandbox").__aenter__()
        with pytest.raises(sandlot.UnauthenticatedError):
            await sandlot.connect(own.address).__aenter__()

    asyncio.run(work())
