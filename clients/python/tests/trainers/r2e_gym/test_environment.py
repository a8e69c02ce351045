"""R2E-Gym's own agent, actions and prompts on our environment, over a live server."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(os.environ["SANDLOT_R2E_GYM"])
sys.path.insert(0, str(CHECKOUT / "src"))
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or its import asks the network

import litellm
import sandlot.sync
from bundled import Answers, applied
from r2egym.agenthub.action import Action
from r2egym.agenthub.agent.agent import Agent, AgentArgs
from r2egym.agenthub.trajectory import Trajectory
from server import Server
from serving import listed, living

from sandlot.adapters.attempt import Lost
from sandlot.adapters.r2e_gym import SandlotRepoEnv

TASK = "py-interval-merge"
GOLD = applied(Answers.of(TASK).gold)
Said = Action | str | Callable[[], None]


def call(name: str, **values: Any) -> Action:
    return Action(name, values)


BASH = call("execute_bash", cmd=GOLD)
FINISH = call("finish", command="submit")


class Scripted(Agent):  # type: ignore[misc]
    """Its own agent, whose model says what is known beforehand; what is no message happens in between."""

    def __init__(self, *script: Said, calls_functions: bool) -> None:
        name = "edit_fn_calling.yaml" if calls_functions else "edit_non_fn_calling.yaml"
        args = AgentArgs.from_yaml(CHECKOUT / "src/r2egym/agenthub/config" / name)
        args.llm_name = "gpt-4o" if calls_functions else "openai/some-model"
        super().__init__("EditAgent", args)
        self.script = list(script)

    def model_query(self, messages: list[dict[str, str]], temperature: float = 0) -> tuple[Any, float]:
        while callable(self.script[0]):
            self.script.pop(0)()
        said = self.script.pop(0)
        if isinstance(said, str) or not self.use_fn_calling:
            words = said if isinstance(said, str) else f"I do this.\n{said.to_xml_string()}"
            return litellm.completion(model="gpt-4o", messages=messages, mock_response=words), 0.0
        function = {"name": said.function_name, "arguments": json.dumps(said.parameters)}
        tool_calls = [{"id": f"call_{len(messages)}", "type": "function", "function": function}]
        return litellm.completion(
            model="gpt-4o", messages=messages, mock_response="I do this.", mock_tool_calls=tool_calls
        ), 0.0


def play(env: SandlotRepoEnv, *script: Said, calls_functions: bool = False) -> Trajectory:
    return Scripted(*script, calls_functions=calls_functions).run(env, use_fn_calling=calls_functions)


@pytest.mark.parametrize("calls_functions", [True, False])
def test_its_agent_solves_a_task_with_all_four_tools(shared: Server, calls_functions: bool) -> None:
    env = SandlotRepoEnv(TASK, server=shared.address)
    shown = [1, 3] if calls_functions else "[1, 3]"
    script = (
        call("search", search_term="def ", path="/testbed"),
        call(
            "file_editor",
            command="view",
            path="/testbed/README.md",
            view_range=shown,
            concise="True" if not calls_functions else True,
        ),
        call(
            "file_editor",
            command="insert",
            path="/testbed/README.md",
            insert_line=0 if calls_functions else "0",
            new_str="Read me.",
        ),
        BASH,
        FINISH,
    )
    played = play(env, *script, calls_functions=calls_functions)
    texts = [step.observation for step in played.trajectory_steps]
    assert "Files in /testbed" in texts[0] and "1\t" in texts[1] and "Read me." in texts[2], texts
    assert (played.exit_reason, played.num_steps, played.docker_image) == ("agent", 5, TASK)
    assert env.runtime._calculate_reward(get_test_output=True) == (1.0, "VALID RESOLVED every expected test passed")
    assert played.env_args["trajectory_id"] == listed(shared)[0].id and "Read me." in played.output_patch
    assert env.get_patch(test_file=True, non_test_file=False) == "", "the hidden tests are nobody's"
    env.close()
    assert not living(shared)


def test_nothing_changed_is_a_0_and_so_is_a_policy_that_does_not_finish(shared: Server) -> None:
    env = SandlotRepoEnv(TASK, server=shared.address)
    play(env, call("execute_bash", cmd="ls"), FINISH)
    assert env.runtime._calculate_reward() == 0
    agent = Scripted(BASH, calls_functions=False)
    assert agent.run(env, use_fn_calling=False, max_steps=1, max_steps_absolute=1).exit_reason == "abs_step_limit"
    assert env.runtime._calculate_reward(get_test_output=True) == (0, "not submitted")
    env.close()


def test_the_policy_is_told_what_is_wrong_with_its_calls(shared: Server) -> None:
    env = SandlotRepoEnv(TASK, server=shared.address)
    odd = (
        "I only think.",
        call("no_such_tool", a="b"),
        call("execute_bash", command="ls"),
        call("execute_bash", cmd="echo '</parameter>'; exit 3"),
    )
    texts = [step.observation for step in play(env, *odd, FINISH).trajectory_steps]
    assert "YOU MUST USE A FUNCTION CALL" in texts[0] and "no_such_tool" in texts[1] and "command" in texts[2], texts
    env.close()


def test_a_restarted_server_is_a_pause(own: Server) -> None:
    def restart() -> None:
        own.kill()
        own.start()

    own.start()
    env = SandlotRepoEnv(TASK, server=own.address)
    play(env, BASH, restart, FINISH)
    assert env.runtime._calculate_reward() == 1
    env.close()


def test_what_infrastructure_spoils_ends_the_episode_and_has_no_reward(shared: Server) -> None:
    def spoil() -> None:
        with sandlot.sync.connect(shared.address) as client:
            client.release([one.id for one in living(shared)])

    env = SandlotRepoEnv(TASK, server=shared.address)
    assert play(env, BASH, spoil, call("execute_bash", cmd="ls"), FINISH).num_steps == 2
    with pytest.raises(Lost, match="RELEASED"):
        env.runtime._calculate_reward()
    env.close()


def test_it_plays_over_tls_with_a_token(guarded: Server) -> None:
    env = SandlotRepoEnv(TASK, server=f"grpcs://{guarded.address}", token=guarded.token, tls=guarded.tls)
    play(env, BASH, FINISH)
    assert env.runtime._calculate_reward() == 1
    env.close()


def test_a_wrong_set_up_is_named(shared: Server) -> None:
    with pytest.raises(sandlot.NotFoundError, match="does not know the task 'no-such-task'"):
        SandlotRepoEnv("no-such-task", server=shared.address).reset()
    with pytest.raises(ValueError, match=r"command_files: expected execute_bash, .* got '/some/browser.py'"):
        SandlotRepoEnv(TASK).add_commands(["/some/browser.py"])
    with pytest.raises(ValueError, match="SandlotRepoEnv: expected the keys"):
        SandlotRepoEnv(TASK, sever="x")
    with pytest.raises(RuntimeError, match="expected a reset before"):
        SandlotRepoEnv(TASK).step(FINISH, 1)
