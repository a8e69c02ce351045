"""examples/verl/train.sh, up to the command that starts verl."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
from bundled import task_file
from conftest import EXAMPLE
from server import Server


def launch(server: str, data: Path, source: str, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "SANDLOT_TOKEN"}
    settings = {"SANDLOT_SERVER": server, "DATA": str(data), "SOURCE": source, "PYTHON": sys.executable, "DRY_RUN": "1", **environment}
    return subprocess.run([EXAMPLE / "train.sh", *more], env={**inherited, **settings}, capture_output=True, text=True, timeout=240)


def test_it_builds_rows_warms_their_environments_and_hands_verl_the_configuration(shared: Server, tmp_path: Path) -> None:
    done = launch(shared.address, tmp_path, "--bundled --val 0.4", "trainer.n_gpus_per_node=8")
    assert done.returncode == 0, done.stderr
    rows = [row for name in ("train", "val") for row in pyarrow.parquet.read_table(tmp_path / f"{name}.parquet").to_pylist()]
    for row in rows:
        assert f"{row['extra_info']['task_id']}: ready in " in done.stdout
    assert "-m verl.trainer.main_ppo" in done.stdout and done.stdout.rstrip().endswith("trainer.n_gpus_per_node=8")


def test_a_task_without_an_environment_is_said_and_taken_out(own: Server, tmp_path: Path) -> None:
    broken = task_file(own.folder, "broken", environment={"baseCommit": "0" * 40})
    own.tasks.append(broken)
    own.start()
    done = launch(own.address, tmp_path, f"--bundled --val 0.4 --tasks {broken}")
    assert done.returncode == 0, done.stderr
    assert "rows taken out" in done.stdout
    left = [row["extra_info"]["task_id"] for name in ("train", "val") for row in pyarrow.parquet.read_table(tmp_path / f"{name}.parquet").to_pylist()]
    assert len(left) == 8 and "broken" not in left


def test_what_is_missing_is_named_before_verl_starts(shared: Server, own: Server, tmp_path: Path) -> None:
    nobody = launch("127.0.0.1:9", tmp_path, "--bundled --val 0.4")
    assert nobody.returncode == 1 and "no Sandlot server answers at 127.0.0.1:9" in nobody.stderr
    unknown = launch(shared.address, tmp_path, f"--bundled --val 0.4 --tasks {task_file(tmp_path, 'mine')}")
    assert unknown.returncode == 1 and "does not have all tasks" in unknown.stderr and "main_ppo" not in unknown.stdout
    own.token = "right-token"
    own.start(environment={"SANDLOT_TOKEN_TRAINER": "right-token"})
    locked = launch(own.address, tmp_path, "--bundled --val 0.4")
    assert locked.returncode == 1 and "set SANDLOT_TOKEN" in locked.stderr
