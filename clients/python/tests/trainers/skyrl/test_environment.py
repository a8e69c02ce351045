"""SkyRL's own generator over a live server, with an engine whose words are known beforehand."""

from __future__ import annotations

import asyncio
import copy
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sandlot.sync
import skyrl_gym
from bundled import Answers, applied
from scripted import SUBMIT, Engine, bash, batch, call, generator, tokenizer, trained
from server import ROOT, Server
from serving import listed, living
from skyrl.train.dataset.dataset import PromptDataset
from skyrl.train.generators.skyrl_gym_generator import SkyRLGymGenerator

import sandlot
from sandlot.adapters.attempt import Lost
from sandlot.adapters.skyrl import SandlotGenerator

TASK = "py-interval-merge"
GOLD = [bash(applied(Answers.of(TASK).gold)), SUBMIT]
WRONG = [bash("echo '# nothing' >> README.md"), SUBMIT]
ROW = {"task_id": TASK}


@pytest.fixture(autouse=True)
def unregistered() -> Iterator[None]:
    yield
    skyrl_gym.envs.registration.registry.pop("sandlot", None)


def play(server: str, engine: Engine, kind: type[Any] = SandlotGenerator, row: Any = ROW, **options: Any) -> Any:
    """One batch, a sample for each policy of the engine."""
    shape = {name: options.pop(name) for name in ("tools", "max_turns", "by_step") if name in options}
    group = options.pop("group", 0)
    settings = {"server": server, **options}
    skyrl_gym.register(id="sandlot", entry_point="sandlot.adapters.skyrl:SandlotEnv", kwargs=settings)
    rows = [row] * len(engine.asked)
    return asyncio.run(generator(kind, engine, **shape).generate(batch(rows, group), disable_tqdm=True))


def scores(output: Any) -> list[float]:
    return [sum(each) for each in output["rewards"]]


def test_the_reward_of_each_policy_stands_at_the_end_of_its_last_message(shared: Server) -> None:
    engine = Engine([GOLD, WRONG, [SUBMIT], []])
    output = play(shared.address, engine)
    assert scores(output) == [1, 0, 0, 0]
    assert output["rewards"][0][-1] == 1 and not any(output["rewards"][0][:-1])
    assert not living(shared), "every trajectory was released"
    assert {one.labels["trainer"] for one in listed(shared)[:4]} == {"skyrl"}
    assert [each["submitted"] for each in output["env_metrics"]] == [1, 1, 1, 0]
    assert output["rollout_metrics"]["environment/acc"] == 0.25


def test_what_commands_print_is_read_and_not_trained_on(shared: Server) -> None:
    engine = Engine([[bash("echo 'one two' | tr a-z A-Z"), SUBMIT]])
    output = play(shared.address, engine)
    assert "ONE TWO" in engine.asked[0][1]
    trained = [one for one, counts in zip(output["response_ids"][0], output["loss_masks"][0], strict=True) if counts]
    assert "ONE TWO" not in engine.tokenizer.decode(trained) and SUBMIT in engine.tokenizer.decode(trained)


def test_the_model_reads_what_is_wrong_with_its_calls(shared: Server) -> None:
    broken = '<tool_call>\n{"name": "bash", "arguments": {"command": "ls"\n</tool_call>'
    engine = Engine([[broken, call("bash", cmd="ls"), call("no_such_tool"), SUBMIT]])
    output = play(shared.address, engine)
    read = engine.asked[0][-1]
    assert "<tool_call>" in read and "cmd" in read and "no_such_tool" in read
    assert output["env_metrics"][0]["tool_errors"] == 3 and scores(output) == [0]


def test_the_tools_reach_the_prompt_through_the_chat_template(shared: Server) -> None:
    with sandlot.sync.connect(shared.address) as client:
        tools = client.task(TASK).tools
    engine = Engine([[SUBMIT]])
    play(shared.address, engine, tools=tools)
    assert '"submit_solution"' in engine.asked[0][0].replace(" ", "")


def test_an_attempt_that_infrastructure_spoiled_is_played_again(shared: Server) -> None:
    engine = Engine([[GOLD[0], "lose it", SUBMIT], WRONG], {"lose it": lambda: lose(shared)})
    output = play(shared.address, engine)
    assert scores(output) == [1, 0]
    assert not living(shared)


def test_without_another_attempt_it_raises_and_is_no_zero(shared: Server) -> None:
    for kind, settings in ((SandlotGenerator, {"retries": 0}), (SkyRLGymGenerator, {})):
        with pytest.raises(Lost, match="RELEASED"):
            play(shared.address, Engine([["lose it", SUBMIT]], {"lose it": lambda: lose(shared)}), kind, **settings)
        unregister()
    assert not living(shared)


@pytest.mark.parametrize("by_step", [False, True])
def test_a_lost_rollout_takes_its_group_out_of_the_loss_and_leaves_the_others_as_they_were(shared: Server, by_step: bool) -> None:
    """Advantages by SkyRL's own trainer: the first group has three rewards and a loss, the second is whole."""
    lost = [bash("echo the one"), "lose it", SUBMIT]
    policies = [GOLD, WRONG, lost, WRONG, GOLD, WRONG, [SUBMIT], GOLD]
    engine = Engine(policies, {"lose it": lambda: lose_the_one(shared, "echo the one")})
    output = play(shared.address, engine, group=4, retries=0, on_failure="mask", by_step=by_step)
    last = output["is_last_step"] or [True] * 8
    ends = [row for row in range(len(last)) if last[row]]
    assert [scores(output)[row] for row in ends] == [1, 0, pytest.approx(1 / 3), 0, 1, 0, 0, 1], "never a 0 for what was lost"
    assert output["rollout_metrics"]["environment/infra_failed"] == 1 / 8
    advantages, weights, metrics = trained(output, 4)
    by_hand = [(score - 0.5) / (statistics.stdev([1, 0, 0, 1]) + 1e-6) for score in (1, 0, 0, 1)]
    assert [advantages[row] for row in ends[4:]] == pytest.approx(by_hand)
    assert not weights[: ends[3] + 1].any(), "nothing of the group that lost one moves the policy"
    assert all(weights[row].any() for row in ends[4:])
    assert metrics["reward/avg_raw_reward"] == pytest.approx((4 / 3 + 2) / 8)
    assert not living(shared)


def test_a_number_in_the_place_of_a_lost_reward_would_change_what_its_siblings_get(shared: Server) -> None:
    """Why the whole group is masked: SkyRL's baseline looks at no mask."""
    output = play(shared.address, Engine([GOLD, WRONG, WRONG]), group=3)
    without = trained(copy.deepcopy(output), 3)[0]
    for filler in (0.0, 1 / 3, 1.0):
        filled = {name: [*value, value[1]] if isinstance(value, list) else value for name, value in copy.deepcopy(output).items()}
        filled["rewards"][3] = [0.0] * (len(filled["rewards"][3]) - 1) + [filler]
        filled["loss_masks"][3] = [0] * len(filled["loss_masks"][3])
        found = trained(filled, 4)[0][:3]
        assert all(abs(one - other) > 0.05 for one, other in zip(found, without, strict=True))


def test_a_step_without_a_whole_group_raises(shared: Server) -> None:
    engine = Engine([["lose it", SUBMIT], GOLD], {"lose it": lambda: lose(shared)})
    with pytest.raises(Lost, match="nothing is left to train on"):
        play(shared.address, engine, retries=0, on_failure="mask")
    assert not living(shared)


def test_a_rollout_that_breaks_elsewhere_leaves_no_trajectory(shared: Server) -> None:
    def break_down() -> None:
        assert living(shared)
        raise OSError("the engine is gone")

    with pytest.raises(OSError, match="the engine is gone"):
        play(shared.address, Engine([["break down"]], {"break down": break_down}))
    assert not living(shared)


def test_a_server_that_is_killed_and_started_again_costs_no_reward(own: Server) -> None:
    def restart() -> None:
        own.kill()
        own.start()

    own.start()
    assert scores(play(own.address, Engine([[GOLD[0], "restart", SUBMIT], WRONG], {"restart": restart}))) == [1, 0]


def test_work_that_is_not_submitted_counts_only_where_the_settings_say_so(shared: Server) -> None:
    for counts in (False, True):
        engine = Engine([[GOLD[0], bash("true"), bash("true"), bash("true")]])
        output = play(shared.address, engine, max_turns=2, grade_unsubmitted=counts)
        assert len(engine.asked[0]) == 2 and scores(output) == [float(counts)]
        assert output["env_metrics"][0]["submitted"] == 0
        unregister()


def test_rows_of_the_data_set_builder_are_played(shared: Server, tmp_path: Path) -> None:
    command = ["scripts/sandlot", "dataset", "build", "--bundled", "--format", "skyrl", "--val", "0", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    rows = PromptDataset(str(tmp_path / "train.jsonl"), tokenizer(), 20_000, num_workers=1)
    _, env_class, extras, _ = next(row for row in rows if row[2]["extra_info"]["task_id"] == TASK)
    assert env_class == "sandlot"
    assert scores(play(shared.address, Engine([GOLD]), row=extras)) == [1]


def test_it_plays_over_tls_with_the_token_of_the_environment(guarded: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE_TOKEN", guarded.token or "")
    output = play(f"grpcs://{guarded.address}", Engine([GOLD]), tls=guarded.tls, token_variable="ONE_TOKEN")
    assert scores(output) == [1]


def test_a_wrong_set_up_is_named(shared: Server) -> None:
    wrong = [
        ({"row": {"task_id": "no-such-task"}}, sandlot.NotFoundError, "does not know the task 'no-such-task'"),
        ({"row": {}}, ValueError, "expected a string in the column `task_id`"),
        ({"retrys": 3}, ValueError, "SandlotEnv: expected the keys server, .*got 'retrys'"),
        ({"on_failure": "zero"}, ValueError, 'on_failure: expected "raise" or "mask", got .zero'),
        ({"token": "secret"}, ValueError, "expected token_variable"),
        ({"format": "klingon"}, sandlot.InvalidError, "format"),
    ]
    for settings, kind, text in wrong:
        with pytest.raises(kind, match=text):
            play(shared.address, Engine([[SUBMIT]]), **settings)
        unregister()


def unregister() -> None:
    skyrl_gym.envs.registration.registry.pop("sandlot")


def lose_the_one(server: Server, command: str) -> None:
    """As `lose`, for the trajectory that ran the command."""
    with sandlot.sync.connect(server.address) as client:
        client.release([one.id for one in living(server) if any(command in str(line) for line in client.record(one.id))])


def lose(server: Server) -> None:
    """As when a lease ends: trajectories are gone under the policies' hands."""
    ids = [one.id for one in living(server)]
    with sandlot.sync.connect(server.address) as client:
        client.release(ids)
