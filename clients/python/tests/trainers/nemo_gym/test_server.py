"""NeMo-Gym's own agent and our resources server over a live server; the model is scripted, and the wires are in one process."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from unittest.mock import MagicMock

import httpx
import pytest
import sandlot
from bundled import Answers, applied
from nemo_gym.config_types import ModelServerRef, ResourcesServerRef
from nemo_gym.server_utils import ServerClient
from responses_api_agents.simple_agent.app import SimpleAgent, SimpleAgentConfig
from server import ROOT, Server
from serving import listed, living, serving

from sandlot.adapters.nemo_gym import SandlotResourcesServer, SandlotResourcesServerConfig

TASK = "py-interval-merge"
GOLD = {"command": applied(Answers.of(TASK).gold)}
Said = tuple[str, Any]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """As `sandlot dataset build` writes them, by task."""
    folder = tmp_path_factory.mktemp("rows")
    build = [ROOT / "scripts/sandlot", "dataset", "build", "--bundled", "--val", "0", "--format", "nemo-gym", "--out", folder]
    subprocess.run(build, check=True, capture_output=True)
    lines = (folder / "train.jsonl").read_text().splitlines()
    return {row["task_id"]: row for row in map(json.loads, lines)}


class Wires:
    """In place of NeMo-Gym's head server and its HTTP between processes: the agent, the resources server and the model."""

    def __init__(self, said: list[Said]) -> None:
        self.said = said
        self.asked: list[dict[str, Any]] = []
        self.apps: dict[str, Any] = {}

    async def post(self, server_name: str, url_path: str, json: Any = None, cookies: Any = None) -> Any:
        body = json.model_dump(exclude_unset=True) if hasattr(json, "model_dump") else json
        if server_name == "model":
            return answered(httpx.Response(200, json=self.message(body), request=httpx.Request("POST", "http://model")))
        transport = httpx.ASGITransport(self.apps[server_name])
        async with httpx.AsyncClient(transport=transport, base_url="http://gym", cookies=plain(cookies), timeout=120) as client:
            return answered(await client.post(url_path, json=body))

    def message(self, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(body)
        name, arguments = self.said.pop(0) if self.said else ("", None)
        call = {"type": "function_call", "call_id": f"c{len(self.asked)}", "name": name, "arguments": json.dumps(arguments), "id": "f", "status": "completed"}
        text = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "Done.", "annotations": []}]}
        return {"id": "r", "created_at": 0, "model": "scripted", "object": "response", "output": [call if name else text], "parallel_tool_calls": False, "tool_choice": "auto", "tools": []}


def plain(cookies: Any) -> dict[str, str]:
    return {name: getattr(value, "value", value) for name, value in dict(cookies or {}).items()}


def answered(response: httpx.Response) -> Any:
    """What NeMo-Gym reads of an answer of aiohttp."""

    async def read() -> bytes:
        return response.content

    return MagicMock(ok=response.is_success, cookies=dict(response.cookies), read=read, content=MagicMock(read=read), raise_for_status=response.raise_for_status)


@asynccontextmanager
async def gym(server: Server, *said: Said, **config: Any) -> AsyncIterator[Wires]:
    """The resources server and the agent, as NeMo-Gym sets them up."""
    wires = Wires(list(said))
    client = MagicMock(spec=ServerClient)
    client.post = wires.post
    common = {"host": "127.0.0.1", "port": 0, "entrypoint": "app.py"}
    settings = {"server": server.address, **config.pop("settings", {})}
    resources = SandlotResourcesServer(config=SandlotResourcesServerConfig(name="sandlot", sandlot=settings, **common, **config), server_client=client)
    refs = {"resources_server": ResourcesServerRef(type="resources_servers", name="sandlot"), "model_server": ModelServerRef(type="responses_api_models", name="model")}
    agent = SimpleAgent(config=SimpleAgentConfig(name="agent", max_steps=8, **common, **refs), server_client=client)
    wires.apps = {"sandlot": resources.setup_webserver(), "agent": agent.setup_webserver()}
    async with AsyncExitStack() as stack:
        for app in wires.apps.values():
            await stack.enter_async_context(app.router.lifespan_context(app))
        yield wires
    assert not await asyncio.to_thread(living, server), "every trajectory was released"


async def test_its_agent_plays_a_row_and_the_verdict_is_the_reward(shared: Server, rows: dict[str, Any]) -> None:
    async with gym(shared, ("bash", {"command": "cd src 2>/dev/null; pwd"}), ("bash", GOLD), ("submit_solution", {})) as wires:
        done = await (await wires.post("agent", "/run", rows[TASK])).read()
    result = json.loads(done)
    assert result["reward"] == 1 and result["task_id"] == TASK
    assert result["sandlot"]["submitted"] == 1 and result["sandlot"]["infra_failed"] == 0
    assert [tool["name"] for tool in wires.asked[0]["tools"]] == ["bash", "str_replace_editor", "submit_solution"]
    assert wires.asked[1]["input"][-1]["output"].startswith("/testbed")
    assert (await asyncio.to_thread(listed, shared))[0].labels["trainer"] == "nemo-gym"


async def test_sessions_do_not_mix_and_wrong_calls_are_told_to_the_model(shared: Server, rows: dict[str, Any]) -> None:
    async with gym(shared, ("bash", ["ls"]), ("no_such_tool", {}), ("bash", {"cmd": "ls"})) as wires:
        async with gym(shared, ("submit_solution", {})) as others:
            first, second = await asyncio.gather(wires.post("agent", "/run", rows[TASK]), others.post("agent", "/run", rows["py-config-layers"]))
        results = [json.loads(await one.read()) for one in (first, second)]
    assert [one["reward"] for one in results] == [0, 0]
    assert [one["sandlot"]["tool_errors"] for one in results] == [3, 0]
    told = [item["output"] for item in wires.asked[-1]["input"] if item.get("type") == "function_call_output"]
    assert "cannot be used" in told[0] and "no_such_tool" in told[1] and "no parameter" in told[2]


async def test_what_infrastructure_spoils_is_an_error_or_a_counted_0_where_the_configuration_says_so(shared: Server, rows: dict[str, Any]) -> None:
    async def spoiled(wires: Wires) -> httpx.Response | Any:
        seeded = await wires.post("sandlot", "/seed_session", rows[TASK])
        async with sandlot.connect(shared.address) as client:
            await client.release([one.id async for one in client.list_trajectories("state=ACTIVE")])  # as when a lease is over
        await wires.post("sandlot", "/bash", {"command": "ls"}, seeded.cookies)
        return await wires.post("sandlot", "/verify", {**rows[TASK], "response": wires.message({})}, seeded.cookies)

    async with gym(shared) as wires:
        answer = await spoiled(wires)
        assert not answer.ok and b"ended" in await answer.read()
    async with gym(shared, settings={"on_failure": "zero"}) as wires:
        result = json.loads(await (await spoiled(wires)).read())
        assert (result["reward"], result["sandlot"]["infra_failed"]) == (0, 1)


async def test_a_session_that_nobody_calls_any_more_is_released_and_has_no_reward(shared: Server, rows: dict[str, Any]) -> None:
    async with gym(shared, idle_s=0.2) as wires:
        seeded = await wires.post("sandlot", "/seed_session", rows[TASK])
        await asyncio.to_thread(Server.wait_until, lambda: not living(shared), "the session to be released", 30)
        answer = await wires.post("sandlot", "/verify", {**rows[TASK], "response": wires.message({})}, seeded.cookies)
        assert not answer.ok and b"nobody called for 0.2 s" in await answer.read()


async def test_sessions_end_with_the_resources_server(shared: Server, rows: dict[str, Any]) -> None:
    async with gym(shared) as wires:
        assert (await wires.post("sandlot", "/seed_session", rows[TASK])).ok
        assert await asyncio.to_thread(living, shared)


async def test_a_restarted_server_is_a_pause(own: Server, rows: dict[str, Any]) -> None:
    own.start()
    async with gym(own) as wires:
        seeded = await wires.post("sandlot", "/seed_session", rows[TASK])
        await wires.post("sandlot", "/bash", GOLD, seeded.cookies)
        await asyncio.to_thread(own.kill)
        await asyncio.to_thread(own.start)
        await wires.post("sandlot", "/submit_solution", {}, seeded.cookies)
        verified = await wires.post("sandlot", "/verify", {**rows[TASK], "response": wires.message({})}, seeded.cookies)
        assert json.loads(await verified.read())["reward"] == 1


@pytest.fixture
def structural() -> Iterator[Server]:
    """A running server that judges without tests, and so never gives a reward."""
    with serving("grading: { kind: structural }\n") as server:
        yield server.start()


async def test_a_verdict_that_is_not_valid_fails_the_run_of_the_agent(structural: Server, rows: dict[str, Any]) -> None:
    async with gym(structural, ("submit_solution", {})) as wires:
        with pytest.raises(httpx.HTTPStatusError, match="503.*/verify"):
            await wires.post("agent", "/run", rows[TASK])


async def test_wrong_rows_settings_and_sessions_are_named(shared: Server, rows: dict[str, Any]) -> None:
    async with gym(shared) as wires:
        for row, words in (({**rows[TASK], "task_id": None}, b"task_id"), ({**rows[TASK], "task_id": "no-such-task"}, b"no-such-task")):
            answer = await wires.post("sandlot", "/seed_session", row)
            assert not answer.ok and words in await answer.read()
        assert b"no session" in await (await wires.post("sandlot", "/bash", {"command": "ls"})).read()
    for config, words in (({"settings": {"retrys": 3}}, "retrys"), ({"num_workers": 2}, "num_workers: expected 1")):
        with pytest.raises(ValueError, match=words):
            async with gym(shared, **config):
                pass
