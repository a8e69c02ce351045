"""The agents and rollouts of verifiers itself over a live server, with a model whose words are known beforehand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import sandlot.sync
import verifiers.v1 as vf
from bundled import IDS, Answers, applied
from model import Model, listening
from server import Server
from serving import listed, living

from sandlot.adapters.verifiers import SandlotHarnessConfig, SandlotTasksetConfig

TASK = "py-interval-merge"
SUBMIT = [("submit_solution", {})]
GOLD = [[("bash", {"command": applied(Answers.of(TASK).gold)})], SUBMIT]
POLICIES = {
    "gold": GOLD,
    "both-at-once": [GOLD[0] + SUBMIT],
    "wrong": [[("bash", {"command": "echo '# nothing' >> README.md"})], SUBMIT],
    "silent": [],
    "unsubmitted": GOLD[:1],
    "talks": [[("bash", {"command": "echo 'one two' | tr a-z A-Z"})], [("bash", '{"cmd')], [("no_such_tool", {})], SUBMIT],
    "endless": [[("bash", {"command": f"echo {number}"})] for number in range(50)],
}


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    monkeypatch.setenv("MODEL_KEY", "none")
    with listening(Model(POLICIES)) as answering:
        yield answering


def task_of(server: str, name: str = TASK, **settings: Any) -> Any:
    taskset = vf.load_taskset(SandlotTasksetConfig(id="sandlot-verifiers", server=server, **settings))
    return next(iter(taskset.include(ids=[name])))


def play(model: Model, server: str, policy: str, task: Any = None, agent: dict[str, Any] | None = None, **settings: Any) -> Any:
    """The trace of one rollout."""
    config = vf.AgentConfig(
        model=policy,
        client=vf.EvalClientConfig(base_url=model.address, api_key_var="MODEL_KEY"),
        runtime=vf.SubprocessConfig(),
        harness=SandlotHarnessConfig(server=server, **settings),
        **(agent or {}),
    )
    return asyncio.run(vf.Agent(config).run(task or task_of(server)))


def test_the_taskset_has_the_tasks_of_the_server(shared: Server) -> None:
    taskset = vf.load_taskset(SandlotTasksetConfig(id="sandlot-verifiers", server=shared.address))
    found = list(taskset)
    assert sorted(task.data.id for task in found) == IDS
    assert len({task.key for task in found}) == len(IDS)
    with sandlot.sync.connect(shared.address) as client:
        served = client.task(TASK)
    one = next(task for task in found if task.data.id == TASK)
    assert one.data.prompt in [message["content"] for message in served.messages]


@pytest.mark.parametrize(
    ("policy", "reward", "submitted"), [("gold", 1, 1), ("both-at-once", 1, 1), ("wrong", 0, 1), ("silent", 0, 0)]
)
def test_the_verdict_is_the_reward(model: Model, shared: Server, policy: str, reward: float, submitted: float) -> None:
    trace = play(model, shared.address, policy)
    assert trace.ok, trace.errors
    assert (trace.reward, trace.rewards["verdict"].value, trace.metrics["submitted"]) == (reward, reward, submitted)
    assert not living(shared), "the trajectory was released"
    assert listed(shared)[0].id == trace.state.trajectory_id and listed(shared)[0].labels["trainer"] == "verifiers"


def test_the_model_reads_what_its_commands_print_and_what_is_wrong_with_its_calls(model: Model, shared: Server) -> None:
    trace = play(model, shared.address, "talks")
    assert trace.ok and trace.metrics["tool_errors"] == 2
    last = model.asked["talks"][-1]
    read = [one["content"] for one in last["messages"] if one["role"] == "tool"]
    assert read[0].strip() == "ONE TWO" and "expected a JSON object" in read[1] and "no_such_tool" in read[2]
    assert [tool["function"]["name"] for tool in last["tools"]] == ["bash", "submit_solution"]


def test_a_trajectory_that_is_lost_fails_the_rollout_and_is_no_zero(model: Model, shared: Server) -> None:
    def lose() -> None:
        with sandlot.sync.connect(shared.address) as client:
            client.release([one.id for one in living(shared)])

    model.hooks["gold"] = lose
    trace = play(model, shared.address, "gold")
    assert not trace.ok and trace.last_error.type == "SandboxError" and "RELEASED" in trace.last_error.message
    assert not any(trace.rewards.values())
    model.hooks["gold"] = lose
    retries = vf.RetryConfig(rules=[vf.RetryRule(type="SandboxError", max_retries=2)])
    again = play(model, shared.address, "gold", agent={"retries": retries})
    assert again.ok and again.reward == 1 and [error.type for error in again.errors] == ["SandboxError"]
    assert not living(shared)


def test_a_server_that_is_killed_and_started_again_costs_no_reward(model: Model, own: Server) -> None:
    def restart() -> None:
        own.kill()
        own.start()

    own.start()
    model.hooks["gold"] = restart
    trace = play(model, own.address, "gold")
    assert trace.ok and trace.reward == 1


def test_it_plays_over_tls_with_the_token_of_the_environment(model: Model, guarded: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    address, files = f"grpcs://{guarded.address}", {"tls": guarded.tls, "token_variable": "ONE_TOKEN"}
    monkeypatch.setenv("ONE_TOKEN", guarded.token or "")
    task = task_of(address, **files)
    trace = play(model, address, "gold", task, **files)
    assert trace.ok and trace.reward == 1, trace.errors
    assert guarded.token not in trace.model_dump_json()
    for wrong, message in (({"token_variable": "NO_TOKEN"}, "no token was sent"), ({"tls": {}}, "tls: no connection to grpcs://")):
        trace = play(model, address, "gold", task, patience_s=5, **{**files, **wrong})
        assert not trace.ok and message in trace.last_error.message, trace.errors


def test_no_server_is_a_failure_that_says_so(model: Model, shared: Server) -> None:
    trace = play(model, "127.0.0.1:9", "gold", task_of(shared.address), patience_s=0.5)
    assert not trace.ok and trace.last_error.type == "SandboxError"
    assert "no Sandlot server answers at 127.0.0.1:9" in trace.last_error.message


def test_a_policy_that_runs_out_of_turns_or_time_has_a_zero_and_leaves_no_trajectory(model: Model, shared: Server) -> None:
    for limit in ({"max_turns": 3}, {"timeout": {"rollout": 4}}):
        trace = play(model, shared.address, "endless", agent=limit)
        assert trace.ok and trace.stop_condition, trace.errors
        assert trace.reward == 0
        assert not living(shared)


def test_work_that_is_not_submitted_counts_only_where_the_settings_say_so(model: Model, shared: Server) -> None:
    for counts in (False, True):
        trace = play(model, shared.address, "unsubmitted", grade_unsubmitted=counts)
        assert trace.ok and (trace.reward, trace.metrics["submitted"]) == (float(counts), 0)


def test_a_wrong_set_up_is_named(model: Model, shared: Server) -> None:
    unknown = task_of(shared.address).with_data(id="no-such-task")
    trace = play(model, shared.address, "gold", unknown)
    assert not trace.ok and "does not know the task 'no-such-task'" in trace.last_error.message
    with pytest.raises(ValueError, match="retrys"):
        SandlotHarnessConfig(retrys=3)
    with pytest.raises(ValueError, match="expected \"HOST:PORT\""):
        SandlotHarnessConfig(server="nowhere")
