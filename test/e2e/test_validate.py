"""`sandlot validate`: what an author is told of tasks that give wrong rewards."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from bundled import GOLD_OF_OWN, commit, git, task_file
from server import CLI, ROOT, Server

WRONG = {"still-odd": "--- a/sums.py\n+++ b/sums.py\n@@ -1,2 +1,2 @@\n def double(x):\n-    return 2 * x + 1\n+    return 2 * x + 2\n"}


def gold_of(folder: Path) -> str:
    repository = folder / "repository"
    commit(repository, {"sums.py": "def double(x):\n    return 2 * x + 1\n", "README.md": "Sums.\n", ".gitignore": "__pycache__/\n"})
    subprocess.run(["bash", "-c", GOLD_OF_OWN], cwd=repository, check=True)
    patch = git(repository, "diff") + "\n"
    git(repository, "checkout", "-q", ".")
    return patch


def validate(own: Server, *tasks: Path, arguments: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    config = own.folder / "validate.yaml"
    config.write_text(own.config)
    files = [word for path in tasks for word in ("--tasks", str(path))]
    command = [*CLI, "validate", "--state", str(own.state), "--config", str(config), *files, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)


def test_a_task_that_gives_what_it_must_is_ok(own: Server) -> None:
    own.folder.mkdir(parents=True, exist_ok=True)
    good = task_file(own.folder, "good", oracle={"patch": gold_of(own.folder), "wrongPatches": WRONG})
    ended = validate(own, good, arguments=("--times", "2"))
    assert (ended.returncode, ended.stdout) == (0, "ok   good: gold 1, empty 0, untouched 0, wrong still-odd 0\n"), ended.stderr


def test_a_parser_a_name_or_a_patch_that_is_wrong_is_told_and_fails(own: Server) -> None:
    own.folder.mkdir(parents=True, exist_ok=True)
    oracle = {"patch": gold_of(own.folder)}
    bad = [
        task_file(own.folder, "parser", oracle=oracle, grader={"parser": "parse_log_pytest"}),
        task_file(own.folder, "nothing-to-fix", oracle=oracle, grader={"failToPass": ["test_sums.SumsTest.test_nothing"], "script": SCRIPT}),
        task_file(own.folder, "no-gold"),
        task_file(own.folder, "stale", oracle={"patch": oracle["patch"].replace("return 2", "return 3")}),
    ]
    good = task_file(own.folder, "good", oracle=oracle)
    ended = validate(own, *bad, good)
    assert ended.returncode == 1, ended.stderr
    said = ended.stdout.splitlines()
    assert "ok   good: gold 1, empty 0, untouched 0" in said
    assert "BAD  parser: gold 0, empty 0, untouched 0" in said
    gold = "       gold: expected 1, got 0: "
    assert any(line.startswith(gold + "TESTS_DID_NOT_FINISH") or line.startswith(gold + "UNRESOLVED") for line in said)
    assert "BAD  nothing-to-fix: gold 1, empty 0, untouched 1" in said
    assert "       untouched: expected 0, got 1: RESOLVED: every expected test passed" in said
    assert "BAD  no-gold: gold none, empty 0, untouched 0" in said
    assert "       gold: expected 1, got no reward: the task has no oracle.patch" in said
    assert "BAD  stale: gold 0, empty 0, untouched 0" in said
    assert any(line.startswith(gold + "PATCH_DOES_NOT_APPLY") for line in said)


SCRIPT = """#!/bin/bash
set -x
printf 'import unittest\\nclass SumsTest(unittest.TestCase):\\n    def test_nothing(self): pass\\n' > test_sums.py
: '>>>>> Start Test Output'
python3 -m unittest -v test_sums
: '>>>>> End Test Output'
"""


def test_json_has_one_object_for_each_patch_and_a_wrong_command_line_says_so(own: Server) -> None:
    own.folder.mkdir(parents=True, exist_ok=True)
    oracle = {"patch": gold_of(own.folder)}
    tasks = [task_file(own.folder, "parser", oracle=oracle, grader={"parser": "parse_log_pytest"}), task_file(own.folder, "good", oracle=oracle)]
    ended = validate(own, *tasks, arguments=("--json",))
    assert ended.returncode == 1, ended.stderr
    found = json.loads(ended.stdout)
    assert [(one["task_id"], one["patch"], one["expected"], one["reward"], one["ok"]) for one in found] == [
        ("parser", "gold", 1, 0, False),
        ("parser", "empty", 0, 0, True),
        ("parser", "untouched", 0, 0, True),
        ("good", "gold", 1, 1, True),
        ("good", "empty", 0, 0, True),
        ("good", "untouched", 0, 0, True),
    ]
    assert found[3]["grade"]["outcome"] == "RESOLVED" and "patch" not in found[3]["grade"]
    timings = found[3]["grade"]["timings"]
    assert 0 < timings["tests_ms"] <= timings["command_ms"] <= timings["grade_ms"]
    for arguments, words in [(("--times", "0"), "--times"), (("--filter", "id=none"), "expected a task"), (("--filter", "playable=true"), "playable")]:
        refused = validate(own, *tasks, arguments=arguments)
        assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr
