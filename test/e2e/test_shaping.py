"""What is off unless it is asked for: guardrails for the size of a submission, and grading that looks at nothing but its form."""

from __future__ import annotations

import asyncio
import json
import subprocess

import sandlot
from bundled import Answers, applied
from raw import TASK
from server import CLI, ROOT, Server

GUARDED = "grading: { max_diff: { files: 2, hunks: 3, bytes: 4000 } }\n"
STRUCTURAL = "grading: { kind: structural }\n"
ANSWERS = Answers.of(TASK)
MANY = "for i in 1 2 3; do echo $i > more-$i.txt; done"


def test_a_submission_past_the_guardrails_is_sent_back_and_can_be_made_smaller(own: Server) -> None:
    async def play() -> None:
        async with sandlot.connect(own.address) as client, client.trajectory(TASK) as t:
            await t.bash(applied(ANSWERS.gold))
            await t.bash(MANY)
            refused = await t.execute("submit_solution", {})
            assert (refused.kind, refused.terminated, refused.grade) == ("TOOL_ERROR", False, None)
            assert refused.text.startswith("Not submitted: the change is larger than what is taken here: ")
            assert "4 files (at most 2)" in refused.text and refused.text.endswith("Make it smaller and submit again.")
            again = await t.step([{"id": "a", "name": "submit_solution", "arguments": "{}"}])
            assert (again.terminated, again.reward, again.grade) == (False, None, None)
            await t.bash("rm more-*")
            done = await t.execute("submit_solution", {})
            assert done.terminated and done.grade
            assert (done.grade.reward, done.grade.validity, done.grade.outcome) == (1.0, "VALID", "RESOLVED")
            assert (await client.get_trajectory(t.id)).state == "SUBMITTED"

    own.config += GUARDED
    own.start()
    asyncio.run(play())


def test_what_is_past_the_guardrails_and_does_not_come_from_the_policy_is_a_0(own: Server) -> None:
    many = "".join(f"--- /dev/null\n+++ b/more-{i}.txt\n@@ -0,0 +1 @@\n+{i}\n" for i in range(3))

    async def play() -> list[sandlot.Grade]:
        async with sandlot.connect(own.address) as client, client.trajectory(TASK) as t:
            await t.bash(MANY)
            return [await t.grade(), await t.submit(), await client.grade_patch(TASK, ANSWERS.gold + many)]

    own.config += GUARDED
    own.start()
    for grade in asyncio.run(play()):
        assert (grade.reward, grade.validity, grade.outcome) == (0.0, "VALID", "SUBMISSION_TOO_LARGE")
        assert "grading.max_diff" in grade.reason and "files (at most 2)" in grade.reason


def test_a_structural_grade_is_never_a_reward(own: Server) -> None:
    async def play(patch: str) -> sandlot.Grade:
        async with sandlot.connect(own.address) as client, client.trajectory(TASK) as t:
            if patch:
                await t.bash(patch)
            looked = await t.grade()
            turn = await t.step([{"id": "a", "name": "submit_solution", "arguments": "{}"}])
            assert turn.terminated and turn.reward is None and turn.grade
            summary = await client.get_trajectory(t.id)
            assert summary.grade and summary.grade.reward is None and summary.grade.validity == "STRUCTURAL"
            assert (looked.outcome, looked.reward) == (turn.grade.outcome, None)
            return turn.grade

    own.config += STRUCTURAL
    own.start()
    gold, broken, nothing = asyncio.run(play(applied(ANSWERS.gold))), asyncio.run(play("echo 'def (' >> setup.py")), asyncio.run(play(""))
    assert [grade.outcome for grade in (gold, broken, nothing)] == ["COMPILES", "DOES_NOT_COMPILE", "EMPTY_PATCH"]
    for grade in (gold, broken, nothing):
        assert (grade.reward, grade.validity, grade.official_resolved, grade.tests) == (None, "STRUCTURAL", None, {})
    patch = own.folder / "gold.patch"
    patch.write_text(ANSWERS.gold)
    command = [*CLI, "grade", "--task", TASK, "--patch", str(patch), "--server", own.address, "--json"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert printed.returncode == 1 and "reward" not in json.loads(printed.stdout), printed
