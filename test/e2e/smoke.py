"""
From tasks to a rising reward curve in a few minutes, each step checked: a data set is built, a server of its own serves
the same tasks, and a policy is trained on the rows' tasks for some steps of GRPO.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from conftest import base_config
from server import Server

ROOT = Path(__file__).parents[2]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10, help="of GRPO")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="sandlot-smoke-", dir=os.environ.get("TMPDIR", "/var/tmp")))
    server = Server(folder / "server", config=base_config())
    checks: list[bool] = []
    try:
        tasks = build(folder / "dataset", checks)
        server.start()
        train(server, folder / "run", tasks, args, checks)
    finally:
        stopped = server.stop() == 0 if server.process is not None else True
        left = {what: found for what, found in server.leftovers().items() if found}
        check(checks, stopped and not left, f"the server stopped and left nothing behind{f': {left}' if left else ''}")
        server.remove()
    print(f"{sum(checks)} of {len(checks)} checks hold; the run lies in {folder}")
    return 0 if all(checks) else 1


def build(folder: Path, checks: list[bool]) -> list[str]:
    command = ["scripts/sandlot", "dataset", "build", "--bundled", "--format", "jsonl", "--val", "0.3", "--out", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    rows = {split: [json.loads(line) for line in (folder / f"{split}.jsonl").open()] for split in ("train", "val")}
    ids = [row["task_id"] for split in rows.values() for row in split]
    bundled = sorted(path.name for path in (ROOT / "src/tasks/bundled").iterdir() if path.is_dir())
    check(checks, sorted(ids) == bundled, f"the data set has every bundled task once: {len(rows['train'])} + {len(rows['val'])} rows")
    return [row["task_id"] for row in rows["train"]]


def train(server: Server, folder: Path, tasks: Sequence[str], args: argparse.Namespace, checks: list[bool]) -> None:
    began = time.monotonic()
    wanted = [argument for task in tasks[:2] for argument in ("--task", task)]
    sizes = ["--steps", str(args.steps), "--group", "8", "--rate", "3", "--rise", "-1"]  # the rise is checked below
    options = [*sizes, "--seed", str(args.seed), "--out", str(folder), *wanted]
    subprocess.run([sys.executable, "examples/grpo_numpy.py", server.address, *options], cwd=ROOT, check=True)
    with (folder / "curve.csv").open() as file:
        curve = list(csv.DictReader(file))
    check(checks, len(curve) == args.steps, f"{args.steps} steps in {time.monotonic() - began:.0f} s")
    check(checks, all(row["without_verdict"] == "0" for row in curve), "every sample got a verdict")
    first, last = (sum(float(row["reward"]) for row in part) / len(part) for part in (curve[:2], curve[-2:]))
    check(checks, last > first + 0.2, f"the mean reward rose: {first:.2f} over the first two steps, {last:.2f} over the last two")


def check(checks: list[bool], holds: bool, what: str) -> None:
    checks.append(holds)
    print(f"{'ok  ' if holds else 'DIFF'} {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
