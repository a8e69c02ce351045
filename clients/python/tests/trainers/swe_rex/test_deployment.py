"""SWE-ReX's own requests, errors and hooks on a live server."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sandlot
from bundled import Answers
from images import Images
from pydantic import ValidationError
from serving import living, serving
from server import Server
from swerex.deployment.hooks.abstract import DeploymentHook
from swerex.exceptions import (
    BashIncorrectSyntaxError,
    CommandTimeoutError,
    DeploymentNotStartedError,
    NonZeroExitCodeError,
    SessionDoesNotExistError,
    SessionExistsError,
)
from swerex.runtime.abstract import (
    BashAction,
    BashInterruptAction,
    CloseBashSessionRequest,
    Command,
    CreateBashSessionRequest,
    ReadFileRequest,
    UploadRequest,
    WriteFileRequest,
)

from sandlot.adapters.harness import HarnessSettings
from sandlot.adapters.held import Wanted
from sandlot.adapters.swe_rex import SandlotDeployment, SandlotRuntime

TASK = "py-interval-merge"


@pytest_asyncio.fixture
async def deployment(shared: Server) -> AsyncIterator[SandlotDeployment]:
    made = SandlotDeployment(task_id=TASK, server=shared.address)
    await made.start()
    yield made
    await made.stop()
    assert not living_of(shared), "stopping released it"


@pytest_asyncio.fixture
async def runtime(deployment: SandlotDeployment) -> SandlotRuntime:
    """With the session "default"."""
    await deployment.runtime.create_session(CreateBashSessionRequest())
    return deployment.runtime


def living_of(server: Server) -> list[Any]:
    """`living`, which has a loop of its own, from within one."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(living, server).result()


async def said(runtime: SandlotRuntime, command: str, **options: Any) -> str:
    return (await runtime.run_in_session(BashAction(command=command, **options))).output


async def test_a_session_keeps_folder_variables_functions_aliases_and_options(runtime: SandlotRuntime) -> None:
    folder = (await said(runtime, "pwd")).strip()
    setup = """
    cd /usr/lib && cd ..
    plain='a
    b'; export EXPORTED="it's"; list=(1 'two words'); declare -A map=([k]='v w'); unset HOME
    f() { echo "f of $1 in $PWD"; }; export -f f
    alias greet='echo hello'
    set -o pipefail; shopt -s nullglob; umask 027
    """
    await said(runtime, setup)
    await said(runtime, "true")  # by way of two states
    assert await said(runtime, "pwd; cd - >/dev/null; pwd") == "/usr\n/usr/lib\n"
    assert await said(runtime, 'printf "%s|" "$plain" "$EXPORTED" "${list[1]}" "${map[k]}" "${HOME-unset}"') == "a\n    b|it's|two words|v w|unset|"
    assert await said(runtime, "f x; bash -c 'f y'; bash -c 'echo ${EXPORTED}${plain}'") == "f of x in /usr/lib\nf of y in /usr/lib\nit's\n"
    assert await said(runtime, "greet you") == "hello you\n"
    assert await said(runtime, "false | true; echo $?; echo /no/*; umask") == "1\n\n0027\n"
    assert folder.startswith("/")


async def test_streams_come_together_in_their_order_and_exit_codes_are_checked_as_asked(runtime: SandlotRuntime) -> None:
    assert await said(runtime, "echo 1; echo 2 >&2; echo 3; printf 4") == "1\n2\n3\n4"
    with pytest.raises(NonZeroExitCodeError, match=r"setting up: Command '\(exit 3\)' failed with exit code 3"):
        await said(runtime, "(exit 3)", error_msg="setting up")
    silent = await runtime.run_in_session(BashAction(command="echo no >&2; (exit 4)", check="silent"))
    assert (silent.output, silent.exit_code) == ("no\n", 4)
    assert (await runtime.run_in_session(BashAction(command="false", check="ignore"))).exit_code is None
    assert (await runtime.run_in_session(BashAction(command="kill -9 $$", check="silent"))).exit_code == 137
    assert await said(runtime, "x=1; set -e; true") == ""
    assert (await runtime.run_in_session(BashAction(command="false; echo not here", check="silent"))).exit_code == 1
    assert await said(runtime, "set +e; echo $x; exit 0") == "1\n", "the session outlives set -e and exit"


async def test_a_command_that_bash_cannot_read_is_told_and_not_begun(runtime: SandlotRuntime) -> None:
    with pytest.raises(BashIncorrectSyntaxError) as caught:
        await said(runtime, "echo begun > /tmp/begun\nif then")
    assert "syntax error" in caught.value.extra_info["bash_stderr"] and caught.value.extra_info["bash_stdout"] == ""
    assert await said(runtime, "ls /tmp/begun 2>/dev/null", check="silent") == ""
    forged = await runtime.run_in_session(BashAction(command="echo 'bash cannot read this:' >&2; exit 2", check="silent"))
    assert forged.exit_code == 2


async def test_a_command_past_its_time_is_ended_with_its_processes_and_the_session_goes_on(runtime: SandlotRuntime) -> None:
    await said(runtime, "cd /usr; kept=1")
    with pytest.raises(CommandTimeoutError, match=r"timeout after 0\.5 seconds while running command 'lost=1; sleep 4321 & sleep 4321'"):
        await said(runtime, "lost=1; sleep 4321 & sleep 4321", timeout=0.5)
    assert (await runtime.run_in_session(BashInterruptAction())).exit_code == 0
    assert await said(runtime, 'pwd; echo "$kept${lost-}"; grep -l [4]321 /proc/[0-9]*/cmdline 2>/dev/null | wc -l') == "/usr\n1\n0\n"
    slow = asyncio.create_task(runtime.run_in_session(BashAction(command="touch /tmp/here; sleep 1000", check="silent")))
    await runtime.execute(Command(command="until [ -e /tmp/here ]; do sleep 0.05; done", shell=True, timeout=300))
    await runtime.run_in_session(BashInterruptAction())
    assert (await slow).exit_code != 0


async def test_sessions_are_apart_and_named(runtime: SandlotRuntime) -> None:
    await runtime.create_session(CreateBashSessionRequest(session="other one"))
    await said(runtime, "cd /; x=1")
    assert await said(runtime, 'echo "${x-none}"; pwd', session="other one") != "1\n/\n"
    with pytest.raises(SessionExistsError):
        await runtime.create_session(CreateBashSessionRequest())
    await runtime.close_session(CloseBashSessionRequest(session="other one"))
    for gone in ("other one", "never"):
        with pytest.raises(SessionDoesNotExistError):
            await said(runtime, "true", session=gone)


async def test_start_up_files_are_read_and_a_missing_one_is_told(runtime: SandlotRuntime) -> None:
    await runtime.write_file(WriteFileRequest(path="/root/.bashrc", content="export FROM_RC=1\nhi() { echo hi; }\n"))
    sources = ["/root/.bashrc", "/no/such"]
    started = await runtime.create_session(CreateBashSessionRequest(session="rc", startup_source=sources))
    assert "/no/such: No such file" in started.output
    assert await said(runtime, "hi; echo $FROM_RC", session="rc") == "hi\n1\n"


async def test_long_commands_here_documents_and_much_output_pass(runtime: SandlotRuntime) -> None:
    assert await said(runtime, f"v='{'y' * 300_000}'; echo ${{#v}}") == "300000\n"
    assert await said(runtime, "cat <<'E'\n$x 'y' \\\nE\n") == "$x 'y' \\\n"
    output = await said(runtime, "head -c 20000000 /dev/zero | tr '\\0' z; echo end")
    assert output.endswith("end\n") and "bytes left out here" in output and len(output) < 9 << 20
    assert await said(runtime, "printf '\\xff'") == "\\xff"


async def test_interactive_programs_are_refused_in_words(runtime: SandlotRuntime) -> None:
    for options in ({"is_interactive_command": True}, {"is_interactive_quit": True}, {"expect": ["(gdb)"]}):
        with pytest.raises(NotImplementedError, match="no terminal"):
            await said(runtime, "gdb", **options)


async def test_execute_is_as_subprocess_run(runtime: SandlotRuntime) -> None:
    both = await runtime.execute(Command(command=["sh", "-c", "echo out; echo err >&2; exit 3"]))
    assert (both.stdout, both.stderr, both.exit_code) == ("out\n", "err\n", 3)
    merged = await runtime.execute(Command(command="echo 1; echo 2 >&2; echo 3", shell=True, merge_output_streams=True))
    assert (merged.stdout, merged.stderr) == ("1\n2\n3\n", "")
    alone = await runtime.execute(Command(command="/usr/bin/env", env={"ONLY": "a b"}))
    assert alone.stdout == "ONLY=a b\n"
    assert (await runtime.execute(Command(command="pwd", cwd="/usr"))).stdout == "/usr\n"
    assert (await runtime.execute(Command(command="no-such-program"))).exit_code == 127
    with pytest.raises(NonZeroExitCodeError, match="failed with exit code 1"):
        await runtime.execute(Command(command=["false"], check=True))
    with pytest.raises(CommandTimeoutError):
        await runtime.execute(Command(command=["sleep", "1000"], timeout=0.3))


async def test_files_go_in_and_out(runtime: SandlotRuntime, tmp_path: Path) -> None:
    await runtime.write_file(WriteFileRequest(path="/tmp/new/deep.txt", content="ä\r\nb"))
    assert (await runtime.read_file(ReadFileRequest(path="/tmp/new/deep.txt"))).content == "ä\nb", "as Path.read_text"
    await runtime.write_file(WriteFileRequest(path="here.txt", content="in the repository"))
    assert await said(runtime, "cat here.txt") == "in the repository"
    await said(runtime, "printf '\\xff' > /tmp/odd")
    with pytest.raises(UnicodeDecodeError):
        await runtime.read_file(ReadFileRequest(path="/tmp/odd"))
    assert (await runtime.read_file(ReadFileRequest(path="/tmp/odd", encoding="latin-1"))).content == "ÿ"
    assert (await runtime.read_file(ReadFileRequest(path="/tmp/odd", errors="replace"))).content == "\ufffd"
    with pytest.raises(FileNotFoundError):
        await runtime.read_file(ReadFileRequest(path="/no/such"))
    tool = tmp_path / "tools/bin/run"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/bin/sh\necho ran\n")
    tool.chmod(0o755)
    (tmp_path / "tools/empty").mkdir()
    await runtime.upload(UploadRequest(source_path=str(tmp_path / "tools"), target_path="/opt/my tools"))
    await runtime.upload(UploadRequest(source_path=str(tool), target_path="/opt/again/run it"))
    assert await said(runtime, "'/opt/my tools/bin/run'; '/opt/again/run it'; stat -c %U '/opt/my tools/bin/run'; ls '/opt/my tools'") == "ran\nran\nroot\nbin\nempty\n"
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        await runtime.upload(UploadRequest(source_path=str(tmp_path / "none"), target_path="/opt"))
    with pytest.raises(OSError, match="upload of"):
        await runtime.upload(UploadRequest(source_path=str(tool), target_path="/opt/again/run it/deeper"))


def test_swe_agents_way_a_loop_for_each_call_and_a_server_that_is_killed_between(own: Server) -> None:
    """The calls that SWE-agent's environment makes, in its order, each in `asyncio.run`."""
    own.start()
    heard: list[str] = []

    class Hook(DeploymentHook):
        def on_custom_step(self, message: str) -> None:
            heard.append(message)

    deployment = SandlotDeployment(task_id=TASK, server=own.address)
    deployment.add_hook(Hook())
    with pytest.raises(DeploymentNotStartedError):
        asyncio.run(deployment.is_alive())
    asyncio.run(deployment.start())

    def communicate(command: str, check: Any = "silent") -> str:
        action = BashAction(command=command, timeout=300, check=check)
        return asyncio.run(deployment.runtime.run_in_session(action)).output

    start = CreateBashSessionRequest(startup_source=["/root/.bashrc"], startup_timeout=300)
    asyncio.run(deployment.runtime.create_session(start))
    communicate("export LANG=C.UTF-8 PAGER=cat", check="raise")
    folder = communicate("pwd").strip()
    asyncio.run(deployment.runtime.write_file(WriteFileRequest(path="/root/state.json", content="{}")))
    communicate(f"cd {folder} && git status && git restore . && git clean -fdq", check="raise")
    own.kill()
    own.start()
    patch = Answers.of(TASK).gold
    asyncio.run(deployment.runtime.write_file(WriteFileRequest(path="/tmp/gold.patch", content=patch)))
    communicate("git apply /tmp/gold.patch", check="raise")
    assert communicate('echo "$PAGER"') == "cat\n", "the session is the one from before"
    save = Command(command="git add -A && git diff --cached > /root/model.patch", shell=True, cwd=folder)
    asyncio.run(deployment.runtime.execute(save))
    assert "diff --git" in asyncio.run(deployment.runtime.read_file(ReadFileRequest(path="/root/model.patch"))).content
    assert asyncio.run(deployment.is_alive())
    grade = asyncio.run(deployment.submit())
    assert (grade.reward, grade.outcome) == (1, "RESOLVED") and deployment.grade is grade
    assert not asyncio.run(deployment.is_alive())
    asyncio.run(deployment.stop())
    asyncio.run(deployment.stop())
    assert heard == ["Creating the sandbox"]


async def test_a_command_that_a_killed_server_had_begun_is_waited_for_and_runs_once(own: Server) -> None:
    own.start()
    deployment = SandlotDeployment(task_id=TASK, server=own.address)
    await deployment.start()
    await deployment.runtime.create_session(CreateBashSessionRequest())
    command = "echo x >> /tmp/runs; until [ -e /tmp/go ]; do sleep 0.05; done; cat /tmp/runs"
    running = asyncio.create_task(said(deployment.runtime, command, timeout=300))
    await deployment.runtime.execute(Command(command="until [ -e /tmp/runs ]; do sleep 0.05; done", shell=True, timeout=300))
    await asyncio.to_thread(own.kill)
    await asyncio.to_thread(own.start)
    await deployment.runtime.execute(Command(command=["touch", "/tmp/go"]))
    assert await running == "x\n"
    await deployment.stop()


async def test_a_bare_sandbox_has_no_grade_and_a_released_one_is_not_alive(shared: Server) -> None:
    deployment = SandlotDeployment(task_id=TASK, server=shared.address, graded=False)
    await deployment.start()
    assert (await deployment.runtime.execute(Command(command=["true"]))).exit_code == 0
    with pytest.raises(RuntimeError, match="graded: expected true, got false"):
        await deployment.submit()
    async with sandlot.connect(shared.address) as client:
        await client.release([deployment.trajectory_id])
    alive = await deployment.is_alive()
    assert not alive and "ended" in alive.message
    with pytest.raises(sandlot.EndedError):
        await deployment.runtime.execute(Command(command=["true"]))
    await deployment.stop()


@pytest.fixture
def not_offering() -> Iterator[Server]:
    """A running server without SandboxService."""
    with serving() as server:
        yield server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="images are root file systems of the oci backend, which needs root here")
async def test_a_sandbox_from_an_image_is_where_the_image_says_and_has_no_grade(own: Server, tmp_path: Path) -> None:
    images = Images(own.folder / "images")
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv/here").write_text("from the image\n")
    images.add("acme/tool:1", tmp_path, WorkingDir="/srv", Env=["PATH=/usr/bin", "COLOUR=red"])
    own.config += f"backend: {{ type: oci, images: [{images.folder}] }}\n"
    own.start()
    deployment = SandlotDeployment(image="acme/tool:1", server=own.address)
    await deployment.start()
    try:
        await deployment.runtime.create_session(CreateBashSessionRequest())
        assert await said(deployment.runtime, "pwd; cat here; echo $COLOUR") == "/srv\nfrom the image\nred\n"
        assert deployment.problem == ""
        with pytest.raises(RuntimeError, match="graded"):
            await deployment.submit()
    finally:
        await deployment.stop()
    with pytest.raises(sandlot.InvalidError, match="a task_id or an image"):
        await SandlotDeployment(task_id=TASK, image="acme/tool:1", server=own.address).start()


async def test_a_server_that_does_not_offer_it_and_a_key_that_is_not_known_are_named(not_offering: Server) -> None:
    deployment = SandlotDeployment(task_id=TASK, server=not_offering.address)
    await deployment.start()
    with pytest.raises(sandlot.UnsupportedError, match="sandbox_service"):
        await deployment.runtime.execute(Command(command=["true"]))
    await deployment.stop()
    with pytest.raises(ValidationError, match="tsk"):
        SandlotDeployment(tsk=TASK)


def test_every_setting_of_a_harness_reaches_the_connection_and_the_sandbox() -> None:
    """swe_rex, uni_agent and harbor take these keys."""
    given: dict[str, Any] = {
        "task_id": "task",
        "image": "python:3.12",
        "server": "grpcs://host:1",
        "tls": {"ca_file": "ca.pem", "cert_file": "c.pem", "key_file": "c.key"},
        "graded": False,
        "pool": "train",
        "limits": {"steps": 3},
        "patience_s": 1.0,
        "create_deadline_s": 2.0,
    }
    settings = HarnessSettings(**given, labels={"run_id": "7"}, command_timeout_s=5)
    assert settings.wanted("secret", trial="a") == Wanted(token="secret", labels={"trial": "a", "run_id": "7"}, **given)
    with pytest.raises(ValidationError, match="servr"):
        HarnessSettings(servr="host:1")
