"""The command that says whether every bundled task still gives the rewards that it must."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from bundled import IDS
from raw import TASK
from reward_regression import cases_of, play
from server import ROOT, Server

COMMAND = str(ROOT / "scripts/reward-regression")


def test_every_bundled_task_gives_the_rewards_it_must_and_nothing_is_left() -> None:
    done = subprocess.run([COMMAND], capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    for task in IDS:
        told = [line.split() for line in lines if f" {task} " in line]
        assert [words[3] for words in told].count("patch") == [words[3] for words in told].count("trajectory") >= 3
        assert {words[2] for words in told} >= {"verified", "empty"}
    assert any(line.endswith("0 mounts, 0 cgroups, 0 processes, 0 sandboxes, 0 loops") for line in lines)


def test_a_reward_that_is_not_what_it_must_be_is_a_difference(shared: Server, capsys: pytest.CaptureFixture[str]) -> None:
    right = next(case for case in cases_of(TASK) if case.name == "empty" and case.way == "patch")
    wrong = replace(right, expected="1 VALID RESOLVED")
    unknown = replace(right, task="no-such-task")
    assert asyncio.run(play(shared.address, [right, wrong, unknown], 2)) == 2
    assert sorted(line.split()[0] for line in capsys.readouterr().out.splitlines()) == ["DIFF", "DIFF", "ok"]


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    with open(tmp_path / "output", "w+") as output:
        running = subprocess.Popen([COMMAND], stdout=output, start_new_session=True)
        Server.wait_until(lambda: "trajectory" in (tmp_path / "output").read_text() or running.poll() is not None, "the first case")
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=300) == 130
    told = (tmp_path / "output").read_text()
    assert "stopped" in told and "0 mounts, 0 cgroups, 0 processes, 0 sandboxes, 0 loops" in told
