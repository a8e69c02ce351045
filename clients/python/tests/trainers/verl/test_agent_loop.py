"""One worker of verl, its own configuration and data set, a live server: what reaches the trainer."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sandlot
from conftest import OTHER, TASK, living
from playing import Verl, rewards
from scripted import END, SUBMIT, bash
from server import Server

from sandlot.adapters.settings import Settings

KEYS = ["acc", "score", "submitted", "out_of_budget", "steps", "tool_errors", "infra_failed", "redone"]


def test_the_reward_of_each_policy_is_in_rm_scores(verl: Verl, shared: Server) -> None:
    out = verl.play((TASK, f"gold-{TASK}"), (OTHER, f"gold-{OTHER}"), (TASK, "wrong"), (TASK, "empty"), (TASK, "silent"), (TASK, "endless"))
    assert rewards(out) == [1, 1, 0, 0, 0, 0]
    assert list(out.non_tensor_batch["sandlot_outcome"]) == ["RESOLVED", "RESOLVED", "UNRESOLVED", "EMPTY_PATCH", "", ""]
    assert list(out.non_tensor_batch["submitted"]) == [1, 1, 1, 1, 0, 0]
    assert list(out.non_tensor_batch["steps"]) == [3, 3, 2, 1, 0, 5]
    assert not living(shared), "every trajectory was released"


def test_what_goes_to_the_logs_of_a_training_run_is_numbers_under_the_same_keys_for_every_sample(verl: Verl) -> None:
    out = verl.play((TASK, "silent"), (TASK, f"gold-{TASK}"), (TASK, "unparsable"))
    assert sorted(out.meta_info["reward_extra_keys"]) == sorted(KEYS)
    for key in KEYS:
        assert out.non_tensor_batch[key].dtype.kind == "f", key


def test_only_what_the_model_wrote_is_trained_on_and_the_reward_is_at_its_last_token(verl: Verl) -> None:
    out = verl.play((TASK, f"gold-{TASK}"))
    mask, response, scores = (out.batch[name][0] for name in ("response_mask", "responses", "rm_scores"))
    written = verl.decoded(response[mask.bool()])
    assert written == "".join(message + END for message in verl.policies[f"gold-{TASK}"])
    assert scores.nonzero().tolist() == [[mask.nonzero().max().item()]]
    assert "<tool_response>\n" in verl.decoded(response), "the model read what its commands printed"


def test_a_submission_ends_the_loop(verl: Verl) -> None:
    out = verl.play((TASK, "after-the-end"))
    assert verl.model is not None and len(verl.model.asked) == 1
    assert "<tool_response>" not in verl.responses(out)[0]
    assert list(out.non_tensor_batch["submitted"]) == [1]


def test_a_submission_in_the_last_message_that_is_allowed_counts(verl: Verl) -> None:
    assert rewards(verl.play((TASK, "last-turn"))) == [1]


def test_work_that_is_not_submitted_counts_only_where_the_yaml_says_so(verl: Verl) -> None:
    play = (TASK, "never-submits")
    assert rewards(verl.play(play)) == [0]
    verl.settings["grade_unsubmitted"] = True
    out = verl.play(play)
    assert (rewards(out), list(out.non_tensor_batch["submitted"])) == ([1], [0])


def test_arguments_that_are_no_object_are_told_to_the_model_and_change_nothing_else(verl: Verl) -> None:
    verl.overrides.append("actor_rollout_ref.rollout.multi_turn.max_assistant_turns=10")
    verl.overrides.append("actor_rollout_ref.rollout.multi_turn.max_user_turns=10")
    out = verl.play((TASK, "odd-arguments"), (TASK, f"gold-{TASK}"))
    answers = re.findall(r"<tool_response>\n(.*?)\n</tool_response>", verl.responses(out)[0], re.DOTALL)
    assert len(answers) == 5
    for answer in answers[:4]:
        assert "arguments of bash cannot be used" in answer, answer
    assert "no_such_tool" in answers[4]
    assert list(out.non_tensor_batch["tool_errors"]) == [5, 0]
    assert rewards(out) == [0, 1]


def test_a_call_that_cannot_be_parsed_ends_its_own_trajectory_with_0(verl: Verl) -> None:
    out = verl.play((TASK, "unparsable"), (TASK, f"gold-{TASK}"))
    assert rewards(out) == [0, 1]
    assert list(out.non_tensor_batch["submitted"]) == [0, 1]
    assert list(out.non_tensor_batch["infra_failed"]) == [0, 0]


def test_several_calls_of_one_message_run_in_their_order(verl: Verl) -> None:
    verl.overrides.append("actor_rollout_ref.rollout.multi_turn.max_parallel_calls=8")
    verl.policies["many"] = ["".join(bash(f"echo {number} >> /tmp/order; sleep 0.0{9 - number}; cat /tmp/order | tr '\\n' ' '") for number in range(8)), SUBMIT]
    text = verl.responses(verl.play((TASK, "many")))[0]
    assert "0 1 2 3 4 5 6 7 \n</tool_response>" in text


def test_output_is_cut_by_the_limit_of_the_yaml_and_not_at_256_letters(verl: Verl) -> None:
    verl.policies["loud"] = [bash("seq 1 100000"), SUBMIT]
    answer = re.findall(r"<tool_response>\n(.*?)\n</tool_response>", verl.responses(verl.play((TASK, "loud")))[0], re.DOTALL)[0]
    assert 1000 < len(answer) < 2000
    assert answer.startswith("1\n2\n") and "100000" in answer


def test_a_server_that_is_not_there_is_named_with_what_to_do(verl: Verl, shared: Server) -> None:
    verl.settings.update(server="127.0.0.1:9", patience_s=0.5)
    with pytest.raises(RuntimeError, match=r"no Sandlot server answers at 127\.0\.0\.1:9 .*sandlot serve --listen 127\.0\.0\.1:9.*SANDLOT_SERVER"):
        verl.play((TASK, "empty"))


def test_a_token_that_is_missing_or_wrong_is_named_with_where_to_put_it(verl: Verl, own: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    own.token = "right-token"
    own.start(environment={"SANDLOT_TOKEN_TRAINER": "right-token"})
    batch = (TASK, "empty")
    verl.settings.update(server=own.address)
    with pytest.raises(sandlot.UnauthenticatedError, match=r"demands a token.*no token was sent.*SANDLOT_TOKEN"):
        verl.play(batch)
    monkeypatch.setenv("SANDLOT_TOKEN", "wrong-token")
    with pytest.raises(sandlot.UnauthenticatedError, match=r"the token that was sent will not do"):
        verl.play(batch)
    monkeypatch.setenv("SANDLOT_TOKEN", "right-token")
    assert rewards(verl.play(batch)) == [0]


def test_a_task_that_the_server_does_not_have_is_named(verl: Verl) -> None:
    def changed(row: dict[str, Any]) -> None:
        row["extra_info"]["task_id"] = "django__django-1"

    with pytest.raises(sandlot.NotFoundError, match=r"does not know the task 'django__django-1'.*sandlot serve --tasks"):
        verl.play((TASK, "empty"), change=changed)


def test_a_row_without_a_task_says_which_and_what_it_has(verl: Verl) -> None:
    def changed(row: dict[str, Any]) -> None:
        del row["extra_info"]["task_id"], row["extra_info"]["tools_kwargs"]

    with pytest.raises(ValueError, match=r"row 0 of the data set: expected a string `task_id` in the column `extra_info`, got \['base_commit'"):
        verl.play((TASK, "empty"), change=changed)


def test_a_key_of_the_yaml_that_is_not_known_is_named(verl: Verl) -> None:
    verl.settings = {"retrys": 3}
    with pytest.raises(Exception, match=r"agent_loop\.yaml: sandlot: expected the keys server, .*got .*retrys"):
        verl.play((TASK, "empty"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on_failure": "drop"}, r'yaml\.on_failure: expected "raise" or "zero", got .drop.'),
        ({"server": "localhost"}, r'yaml\.server: expected "HOST:PORT", got .localhost.'),
        ({"retries": "many"}, r"yaml\.retries: expected a number from 0 on, got .many."),
        ({"grade_unsubmitted": "no"}, r"yaml\.grade_unsubmitted: expected true or false, got .no."),
        ({"limits": 3}, r"yaml\.limits: expected keys with values, got 3"),
    ],
)
def test_a_value_of_the_yaml_that_does_not_fit_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings.read(settings, "yaml")


def test_a_tool_config_without_the_tools_is_named(verl: Verl) -> None:
    verl.overrides.append("actor_rollout_ref.rollout.multi_turn.tool_config_path=null")
    with pytest.raises(Exception, match=r"multi_turn\.tool_config_path: expected the tools of sandlot\.adapters\.verl\.tools, submit_solution among them, got none"):
        verl.play((TASK, "empty"))
