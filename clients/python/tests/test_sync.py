"""The facade without a loop: the same calls, waited for."""

import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake import Fake, fault, trajectory

import sandlot
import sandlot.sync
from sandlot._background import BackgroundLoop
from sandlot._gen import rollout_service_pb2 as pb
from sandlot._gen import sandbox_service_pb2, trajectory_pb2

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"


@pytest.fixture
def served() -> Iterator[Fake]:
    """The fake on a loop of its own: the tests here have none."""
    loop = BackgroundLoop()
    server = Fake()
    loop.run(server.start())
    yield server
    loop.run(server.stop())
    loop.stop()


def test_a_rollout_reads_like_the_asyncio_one_without_await(served: Fake):
    served.on("ListTasks", pb.ListTasksResponse(tasks=[pb.Task(id="a"), pb.Task(id="b")]))
    served.on(
        "ExecuteStream", [pb.ExecuteEvent(stdout=b"out"), pb.ExecuteEvent(offset=3, result=trajectory_pb2.Result())]
    )
    with sandlot.sync.connect(served.address) as client:
        assert [task.id for task in client.tasks()] == ["a", "b"]
        with client.trajectory("a", labels={"run": 7}) as t:
            assert t.messages == [{"role": "user", "content": "fix it"}]
            assert t.bash("ls").exit_code == 0
            assert [event.data for event in t.execute_stream("bash", {"command": "ls"})] == [b"out", b""]
            assert t.submit().reward == 1
            assert t.final_grade.reward == 1
    assert len(served.requests["Release"]) == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "sandlot"][1:], "only the fake's is left"


def test_errors_are_the_same_and_the_trajectory_is_released(served: Fake):
    served.on("Execute", fault("sandbox", "ABORTED"))
    with sandlot.sync.connect(served.address) as client:
        with pytest.raises(sandlot.SandboxFault), client.trajectory("a") as t:
            t.bash("ls")
        with pytest.raises(AttributeError):
            client.no_such_call()
    assert len(served.requests["Release"]) == 1
    with pytest.raises(RuntimeError, match="not open"):
        client.info()
    served.on("GetServerInfo", fault("unauthenticated", "UNAUTHENTICATED"))
    with pytest.raises(sandlot.UnauthenticatedError), sandlot.sync.connect(served.address):
        pass


def test_a_sandbox_is_a_facade_too(served: Fake):
    served.on("Create", lambda request: trajectory(request.attempt_id))
    served.on(
        "Exec",
        [
            sandbox_service_pb2.ExecEvent(stdout=b"hi"),
            sandbox_service_pb2.ExecEvent(
                offset=2, result=sandbox_service_pb2.ExecResult(exit_code=0, kind=1, output_bytes=2)
            ),
        ],
    )
    with sandlot.sync.connect(served.address) as client, client.sandbox("task") as sandbox:
        assert isinstance(sandbox, sandlot.sync.BareSandbox)
        assert sandbox.exec("echo -n hi").stdout == b"hi"
        assert isinstance(client.trajectory("a").open().sandbox, sandlot.sync.Sandbox)


def test_threads_share_a_client_and_a_reader_may_leave_a_stream_early(served: Fake):
    served.on("ExecuteStream", [pb.ExecuteEvent(offset=n, stdout=b"x") for n in range(1000)])
    with sandlot.sync.connect(served.address) as client, client.trajectory("a") as t:
        for _ in t.execute_stream("bash", "{}"):
            break
        seen: list[int] = []
        threads = [threading.Thread(target=lambda: seen.append(t.bash("ls").exit_code)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert seen == [0] * 8


def test_another_process_is_told_instead_of_waiting_for_ever(served: Fake):
    client = sandlot.sync.connect(served.address)
    with client:
        child = os.fork()
        if child == 0:
            try:
                client.info()
            except RuntimeError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_ctrl_c_ends_a_call_and_releases(served: Fake):
    program = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # what started this may ignore it
import sandlot.sync
with sandlot.sync.connect({served.address!r}) as client:
    with client.trajectory("a") as t:
        print("open", flush=True)
        t.bash("sleep 1000")
"""

    async def never(request):
        import asyncio

        await asyncio.sleep(60)

    served.on("Execute", never)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "open\n"
    while not served.requests["Execute"]:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert "KeyboardInterrupt" in errors
    assert len(served.requests["Release"]) == 1


def test_the_types_are_those_of_the_asyncio_client():
    sys.path.insert(0, str(SCRIPTS))
    try:
        from gen_sync_types import stub
    finally:
        sys.path.remove(str(SCRIPTS))
    written = Path(inspect.getfile(sandlot.sync)).with_suffix(".pyi").read_text()
    assert written == stub(), "npm run gen"
