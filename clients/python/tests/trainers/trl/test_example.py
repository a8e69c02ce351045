"""examples/grpo_trl.py over a live server: that it learns takes longer than a test may, that it trains does not."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

from server import ROOT, Server
from serving import living


def test_the_example_warms_up_trains_and_writes_its_curve(shared: Server, tmp_path: Path) -> None:
    for number, more in enumerate(([], ["--shuffle"])):
        out = tmp_path / str(number)
        sizes = ["--warm-up", "60", "--steps", "2", "--group", "4", "--rise", "-1", "--out", str(out), *more]
        command = [sys.executable, "-W", "ignore", "examples/grpo_trl.py", shared.address, *sizes]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200)
        assert done.returncode == 0, done.stderr[-4000:]
        rows = list(csv.DictReader((out / "curve.csv").open()))
        assert [(row["samples"], row["without_verdict"]) for row in rows] == [("4", "0")] * 2
        assert all(0 <= float(row["reward"]) <= 1 for row in rows)
        assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
        assert f"step   2 of 2: mean reward {float(rows[1]['reward']):.2f}" in done.stdout
        assert ("rewards shuffled" in done.stdout) == bool(more)
    assert not living(shared)
