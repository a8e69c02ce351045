"""uni-agent's own agent, tools and task registry over a live server; the endpoint of the model is scripted."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, os.environ["SANDLOT_UNI_AGENT"])

import sandlot
from aiohttp import web
from bundled import Answers, applied
from pydantic import ValidationError
from server import Server
from serving import living, serving
from uni_agent.sandbox import SandboxConfig, build_sandbox
from uni_agent.tasks.base import TaskResult
from uni_agent.tasks.registry import get_task
from uni_agent.tools import Toolbox

from sandlot.adapters.uni_agent import SandlotSandbox

TASK = "py-interval-merge"
TOOLS = [{"name": "stateful_shell", "command_timeout": 20, "env_vars": {"PAGER": "cat"}}, {"name": "str_replace_editor"}, {"name": "submit"}]
GOLD = applied(Answers.of(TASK).gold)


def wanted(server: Server, **settings: Any) -> SandboxConfig:
    return SandboxConfig(provider="sandlot", sandbox_kwargs={"task_id": TASK, "server": server.address, **settings})


@pytest.fixture
async def sandbox(shared: Server) -> AsyncIterator[SandlotSandbox]:
    async with build_sandbox(wanted(shared)) as one:
        assert isinstance(one, SandlotSandbox)
        yield one
    assert not await asyncio.to_thread(living, shared), "every trajectory was released"


@asynccontextmanager
async def endpoint(*said: tuple[str, dict[str, Any]]) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """An OpenAI-compatible endpoint that makes these calls, one a message; and what it was asked."""
    left, asked = list(said), []

    async def answer(request: web.Request) -> web.Response:
        asked.append(await request.json())
        name, arguments = left.pop(0)
        call = {"id": f"{len(asked)}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        return web.json_response({"choices": [{"message": {"content": "", "tool_calls": [call]}, "finish_reason": "tool_calls"}]})

    app = web.Application()
    app.router.add_post("/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


async def played(server: Server, *said: tuple[str, dict[str, Any]], **settings: Any) -> tuple[TaskResult, list[dict[str, Any]]]:
    """By the registries of uni-agent, as its runners do it."""
    async with endpoint(*said) as (url, asked):
        agent = {"name": "react", "max_steps": 10, "tools": TOOLS, "model": {"base_url": url, "model_name": "scripted"}}
        result = await get_task({"name": "sandlot", "sandbox": wanted(server, **settings).model_dump(), "agent": agent}).run()
    return result, asked


async def test_its_agent_solves_a_task_and_the_verdict_is_the_reward(shared: Server) -> None:
    result, asked = await played(shared, ("shell", {"command": "cd src 2>/dev/null; export SEEN=1"}), ("shell", {"command": f"cd - >/dev/null; {GOLD}"}), ("shell", {"command": 'echo "$SEEN$PAGER"'}), ("submit", {}))
    assert (result.reward, result.accuracy, result.finished) == (1, 1, True)
    assert result.extra_info is not None and result.extra_info["outcome"] == "RESOLVED"
    assert [tool["function"]["name"] for tool in asked[0]["tools"]] == ["shell", "str_replace_editor", "submit"]
    assert "1cat" in asked[3]["messages"][-1]["content"] and "<issue>" in asked[0]["messages"][-1]["content"]
    assert not await asyncio.to_thread(living, shared)


async def test_no_change_is_a_valid_0(shared: Server) -> None:
    result, _ = await played(shared, ("submit", {}))
    assert (result.reward, result.extra_info and result.extra_info["validity"]) == (0, "VALID")


async def test_its_shell_tells_exit_codes_time_outs_and_what_bash_cannot_read(sandbox: SandlotSandbox) -> None:
    async with Toolbox.from_specs(TOOLS, sandbox=sandbox) as tools:
        assert "[exit code: 3]" in str(await tools.call("shell", {"command": "echo oops >&2; (exit 3)"}))
        late = await tools.call("shell", {"command": "echo begun; sleep 1000"}, timeout=0.5)
        assert late.status == "timeout" and "begun" in str(late)
        assert "[exit code: 2]" in str(await tools.call("shell", {"command": "if"}))
        assert "[exit code: 0]" in str(await tools.call("shell", {"command": "exit 0"}))
        assert "still here" in str(await tools.call("shell", {"command": "echo still here"}))


async def test_its_editor_and_its_transfers_work_on_files_of_the_sandbox(sandbox: SandlotSandbox, tmp_path: Path) -> None:
    async with Toolbox.from_specs(TOOLS, sandbox=sandbox) as tools:
        made = await tools.call("str_replace_editor", {"command": "create", "path": "/tmp/b.txt", "file_text": "one\n"})
        assert "created successfully" in str(made)
        changed = await tools.call("str_replace_editor", {"command": "str_replace", "path": "/tmp/b.txt", "old_str": "one", "new_str": "two"})
        assert "has been edited" in str(changed) and await sandbox.read_file("/tmp/b.txt") == b"two\n"
    (tmp_path / "tree/deep").mkdir(parents=True)
    (tmp_path / "tree/deep/x").write_bytes(b"\xff\x00")
    await sandbox.upload(tmp_path / "tree", "/opt/tree")
    await sandbox.download("/opt/tree", tmp_path / "back")
    assert (tmp_path / "back/deep/x").read_bytes() == b"\xff\x00"


async def test_commands_follow_its_error_policy(sandbox: SandlotSandbox) -> None:
    ran = await sandbox.exec(["sh", "-c", 'pwd; echo "$A"; echo err >&2; exit 4'], workdir="/tmp", env={"A": "1"})
    assert (ran.exit_code, ran.stdout, ran.stderr) == (4, "/tmp\n1\n", "err\n")
    assert (await sandbox.exec(["sleep", "1000"], timeout=0.3)).exit_code == -1
    assert (await sandbox.exec(["no-such-program"])).exit_code == 127
    assert await sandbox.is_alive()


async def test_what_infrastructure_spoils_is_no_reward_although_its_loop_swallows_the_error(shared: Server) -> None:
    sandbox = build_sandbox(wanted(shared))
    async with sandbox:
        await release(shared, sandbox.held.id)
        with pytest.raises(sandlot.EndedError):
            await sandbox.exec(["true"])
        assert not await sandbox.is_alive()
        with pytest.raises(sandlot.EndedError):
            await sandbox.submit()


async def release(server: Server, trajectory_id: str) -> None:
    """As when a lease is over."""
    async with sandlot.connect(server.address) as client:
        await client.release([trajectory_id])


async def test_a_restarted_server_is_a_pause(own: Server) -> None:
    own.start()
    async with build_sandbox(wanted(own)) as sandbox:
        shell = await sandbox.open_shell(env={"A": "it's"})
        await shell.run(f"cd /tmp; export B=2; cd -; {GOLD}")
        await asyncio.to_thread(own.kill)
        await asyncio.to_thread(own.start)
        assert (await shell.run('echo "$A$B"')).stdout == "it's2\n"
        assert (await sandbox.submit()).reward == 1


@pytest.fixture
def structural() -> Iterator[Server]:
    """A running server that judges without tests, and so never gives a reward."""
    with serving("sandbox_service: { enabled: true }\ngrading: { kind: structural }\n") as server:
        yield server.start()


async def test_a_verdict_that_is_not_valid_is_no_reward(structural: Server) -> None:
    with pytest.raises(RuntimeError, match="no reward for .*STRUCTURAL"):
        await played(structural, ("submit", {}))


async def test_a_key_that_is_not_known_is_named(shared: Server) -> None:
    with pytest.raises(ValidationError, match="tsk"):
        build_sandbox(SandboxConfig(provider="sandlot", sandbox_kwargs={"tsk": TASK}))
