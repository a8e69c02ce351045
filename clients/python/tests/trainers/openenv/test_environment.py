"""OpenEnv's own server and client around the environment, over a live server."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sandlot.sync
import uvicorn
from bundled import Answers, applied
from openenv.core.generic_client import GenericEnvClient
from server import Server
from serving import listed, living

from sandlot.adapters.openenv import SandlotAction, SandlotEnvClient, SandlotObservation, app

TASK = "py-interval-merge"
SUBMIT = SandlotAction(tool="submit_solution")
OVER = SandlotAction()


def bash(command: str) -> SandlotAction:
    return SandlotAction(tool="bash", arguments={"command": command})


GOLD = [bash(applied(Answers.of(TASK).gold)), SUBMIT]
WRONG = [bash("echo '# nothing' >> README.md"), SUBMIT]


@contextmanager
def openenv(server: Server | str, sessions: int = 16, **settings: Any) -> Iterator[str]:
    """The address of an environment server."""
    address = server if isinstance(server, str) else server.address
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        serving = uvicorn.Server(uvicorn.Config(app(sessions, server=address, **settings), log_level="warning"))
        thread = threading.Thread(target=serving.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            serving.should_exit = True
            thread.join()


async def play(url: str, *actions: SandlotAction | Callable[[], None], task: str = TASK) -> list[SandlotObservation]:
    async with SandlotEnvClient(base_url=url) as env:
        seen = [(await env.reset(task_id=task)).observation]
        for action in actions:
            if callable(action):
                await asyncio.to_thread(action)
            else:
                seen.append((await env.step(action)).observation)
        return seen


@pytest.fixture(scope="module")
def url(shared: Server) -> Iterator[str]:
    with openenv(shared) as address:
        yield address


async def test_the_last_observation_has_the_reward_and_the_first_the_prompt(url: str, shared: Server) -> None:
    seen = await asyncio.gather(play(url, *GOLD), play(url, *WRONG), play(url, SUBMIT), play(url, OVER))
    assert [(one[-1].done, one[-1].reward) for one in seen] == [(True, 1), (True, 0), (True, 0), (True, 0)]
    assert [one[-1].report["submitted"] for one in seen] == [1, 1, 1, 0]
    assert all(not one.done and one.reward is None for one in seen[0][:-1])
    assert seen[0][0].messages[-1]["role"] == "user"
    assert [tool["function"]["name"] for tool in seen[0][0].tools] == ["bash", "submit_solution"]
    assert not await asyncio.to_thread(living, shared), "every trajectory was released"
    assert {one.labels["trainer"] for one in (await asyncio.to_thread(listed, shared))[:4]} == {"openenv"}


async def test_the_policy_reads_what_its_commands_print_and_what_is_wrong_with_its_calls(url: str) -> None:
    odd = [SandlotAction(tool="bash", arguments='{"comm'), SandlotAction(tool="no_such_tool")]
    seen = await play(url, bash("echo 'one two' | tr a-z A-Z"), bash("pwd"), *odd, OVER)
    assert seen[1].text.strip() == "ONE TWO" and seen[2].text.strip() == "/testbed"
    assert "expected a JSON object" in seen[3].text and "no_such_tool" in seen[4].text
    assert seen[5].report["tool_errors"] == 2


async def test_a_session_plays_one_episode_after_the_other(url: str, shared: Server) -> None:
    async with SandlotEnvClient(base_url=url) as env:
        ids = []
        for actions, reward in ((GOLD, 1), (WRONG, 0), (GOLD[:1], None), (GOLD, 1)):
            await env.reset(task_id=TASK)
            for action in actions:
                last = await env.step(action)
            state = await env.state()
            ids.append(state.trajectory_id)
            assert last.reward == reward and state.step_count == len(actions) and state.episode_id == ids[-1]
        assert len(set(ids)) == 4
        with pytest.raises(RuntimeError, match="expected a reset before"):
            await env.step(SUBMIT)


async def test_a_client_that_knows_nothing_of_us_plays_too(url: str) -> None:
    async with GenericEnvClient(base_url=url) as env:
        await env.reset(task_id=TASK)
        for action in GOLD:
            result = await env.step({"tool": action.tool, "arguments": action.arguments})
        assert (result.done, result.reward) == (True, 1)


async def test_a_client_that_goes_away_leaves_no_trajectory(url: str, shared: Server) -> None:
    await play(url, GOLD[0])
    await asyncio.to_thread(Server.wait_until, lambda: not living(shared), "the trajectory to be released")


async def test_a_trajectory_that_is_lost_is_an_error_and_no_zero(url: str, shared: Server) -> None:
    def lose() -> None:
        with sandlot.sync.connect(shared.address) as client:
            client.release([one.id for one in living(shared)])

    with pytest.raises(RuntimeError, match="RELEASED"):
        await play(url, GOLD[0], lose, SUBMIT)


async def test_a_server_that_is_killed_and_started_again_costs_no_reward(own: Server) -> None:
    def restart() -> None:
        own.kill()
        own.start()

    own.start()
    with openenv(own) as address:
        assert (await play(address, GOLD[0], restart, SUBMIT))[-1].reward == 1


async def test_it_plays_over_tls_with_a_token(guarded: Server) -> None:
    with openenv(f"grpcs://{guarded.address}", token=guarded.token, tls=guarded.tls) as address:
        assert (await play(address, *GOLD))[-1].reward == 1


async def test_work_that_is_not_submitted_counts_only_where_the_settings_say_so(shared: Server) -> None:
    for counts in (False, True):
        with openenv(shared, grade_unsubmitted=counts) as address:
            assert (await play(address, GOLD[0], OVER))[-1].reward == float(counts)


async def test_a_wrong_set_up_is_named(url: str) -> None:
    with pytest.raises(RuntimeError, match="does not know the task 'no-such-task'"):
        await play(url, task="no-such-task")
    with pytest.raises(RuntimeError, match="expected the argument `task_id`"):
        await play(url, task="")
    with openenv("127.0.0.1:9", patience_s=0.5) as address, pytest.raises(RuntimeError, match="no Sandlot server answers"):
        await play(address)
    with pytest.raises(ValueError, match="got 'retrys'"):
        app(retrys=3)
    with pytest.raises(ValueError, match="on_failure"):
        app(on_failure="zero")
