"""One task of each family on the repository of test/fixtures/families: rows with the columns that the family publishes, and ours that say how to play them without an image."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server import ROOT

FOLDER = ROOT / "test/fixtures/families"
BASE = "60983c9961cad91f6c297d562f25939ade88fc7d"
FIX = "9aaec228b046bec8b38a55d155c3293441a9187d"  # of rows that name the fixed commit; nothing looks it up
GOLD = (FOLDER / "gold.patch").read_text()
TESTS = (FOLDER / "test.patch").read_text()
WRONG = (FOLDER / "wrong.patch").read_text()
WRONG_TESTS = (FOLDER / "wrong-tests.patch").read_text()
FILE = "tests/test_stock.py"
HIDDEN = "test_counts_every_single_thing"
F2P = [f"{FILE}::{HIDDEN}"]
P2P = [f"{FILE}::test_orders_what_is_missing", f"{FILE}::test_orders_nothing_when_there_is_enough"]
ISSUE = "total says how many kinds of things there are, not how many things."
# The official scripts activate an environment that has pytest: here the repository's own runner answers to that name.
SETUP = [
    "mkdir -p /opt/miniconda3/bin",
    "install -m 755 check.py /opt/miniconda3/bin/pytest",
    "printf '%s\\n' 'PATH=/opt/miniconda3/bin:$PATH' 'conda() { :; }' > /opt/miniconda3/bin/activate",
]
LOCAL: dict[str, Any] = {"repository": str(FOLDER / "repository.fast-export"), "setup": SETUP, "requires": ["python3"]}


@dataclass(frozen=True)
class Played:
    task_id: str
    row: dict[str, Any] | None
    """None: a task folder."""
    workdir: str = "/testbed"


def swe_bench(task_id: str, **changes: Any) -> dict[str, Any]:
    row = {"repo": "pallets/flask", "instance_id": task_id, "base_commit": BASE, "patch": GOLD, "test_patch": TESTS, "problem_statement": ISSUE, "hints_text": "", "created_at": "2024-03-02", "version": "2.0", "FAIL_TO_PASS": json.dumps(F2P), "PASS_TO_PASS": json.dumps(P2P)}
    return {**row, **LOCAL, **changes}


def eval_script() -> str:
    reset = f"git checkout {BASE} {FILE}"
    apply = f"git apply -v - <<'EOF_114329324912'\n{TESTS}\nEOF_114329324912"
    return "\n".join(["#!/bin/bash", "set -uxo pipefail", "cd /testbed", reset, apply, ": '>>>>> Start Test Output'", f"python3 check.py -rA {FILE}", ": '>>>>> End Test Output'", reset]) + "\n"


R2E_TESTS = "from stock import missing, total\n\n\ndef test_counts_every_single_thing():\n    assert total({'nut': 2, 'bolt': 3}) == 5\n\n\ndef test_still_fails():\n    assert missing({}, {}) is None\n"

PRO_RUN = '#!/bin/bash\nIFS=, read -r -a files <<< "$1"\npython3 check.py "${files[@]}"\n'
PRO_PARSER = """import json, sys
lines = open(sys.argv[1]).read().splitlines()
summary = lines[lines.index("=== short test summary info ===") + 1 :]
tests = [{"name": line.split()[1], "status": line.split()[0]} for line in summary]
json.dump({"tests": tests}, open(sys.argv[3], "w"))
"""
PARSER = """def parser(log):
    found = {}
    for line in log.splitlines():
        words = line.split()
        if len(words) == 2 and words[1] in ("PASSED", "FAILED"):
            found[words[0]] = %s
    return found
"""

SMITH = "acme__stock.1a2b3c4d.func_count__0a1b2c3d"

ALL = [
    Played("family-swe-bench", swe_bench("family-swe-bench", eval_script=eval_script(), log_parser="parse_log_pytest", eval_type="pass_and_fail", image="acme/stock:1")),
    Played("family-swe-bench-classic", swe_bench("family-swe-bench-classic", environment_setup_commit=BASE)),
    Played(SMITH, {"instance_id": SMITH, "repo": "swesmith/acme__stock.1a2b3c4d", "patch": (FOLDER / "bug.patch").read_text(), "FAIL_TO_PASS": F2P, "PASS_TO_PASS": P2P, "image_name": "swesmith.x86_64.acme_1776_stock.1a2b3c4d", "problem_statement": ISSUE, "created_at": "2024-04-03", **LOCAL}),
    Played(
        f"stock__{FIX}",
        {
            **{"repo_name": "stock", "docker_image": f"namanjain12/stock_final:{FIX}", "commit_hash": FIX, "problem_statement": f"[ISSUE]{ISSUE}[/ISSUE]"},
            "parsed_commit_content": json.dumps({"file_diffs": [], "old_commit_hash": BASE, "new_commit_hash": FIX, "commit_message": "Count things", "commit_date": "2024-03-02T00:00:00"}),
            "execution_result_content": json.dumps({"test_file_names": ["test_1.py"], "test_file_codes": [R2E_TESTS], "new_commit_hash": FIX}),
            "expected_output_json": json.dumps({HIDDEN: "PASSED", "test_still_fails": "FAILED"}),
            **LOCAL,
            "run_tests": "python3 check.py -rA r2e_tests",
        },
    ),
    Played("family-swe-gym", swe_bench("family-swe-gym", repo="getmoto/moto", version="5.0")),
    Played("family-swe-rebench", swe_bench("family-swe-rebench", repo="acme/stock", version="0.1", docker_image="swerebench/acme", requirements="", environment="", install_config={"log_parser": "parse_log_pytest", "test_cmd": "pytest -rA", "install": "pip install -e .", "python": "3.9", "reqs_path": None})),
    Played("family-swe-rebench-v2", {**swe_bench("family-swe-rebench-v2", repo="acme/stock", language="python", image_name="docker.io/swerebenchv2/acme", interface="", install_config={"log_parser": "parse_log_pytest", "test_cmd": ["python3 check.py -rA"], "base_image_name": "python_3.11", "install": []}), "FAIL_TO_PASS": F2P, "PASS_TO_PASS": P2P}, "/stock"),
    Played("family-swe-bench-live", swe_bench("family-swe-bench-live", repo="acme/stock", test_cmds=["python3 check.py -rA"], log_parser="pytest", FAIL_TO_PASS=F2P, PASS_TO_PASS=P2P, difficulty={"files": 1, "hunks": 1, "lines": 2})),
    Played("family-swe-bench-live-own-parser", swe_bench("family-swe-bench-live-own-parser", repo="acme/stock", docker_image="acme/live", rebuild_cmds=["export SEEN=yes"], test_cmds=['[ "$SEEN" = yes ] && python3 check.py > seen.log'], print_cmds=["cat seen.log"], log_parser=PARSER % "words[1][:4].lower()", FAIL_TO_PASS=F2P, PASS_TO_PASS=P2P)),
    Played(
        "instance_acme__stock-1a2b3c4d-vnan",
        {
            **{"repo": "acme/stock", "instance_id": "instance_acme__stock-1a2b3c4d-vnan", "base_commit": BASE, "patch": GOLD, "test_patch": TESTS, "problem_statement": ISSUE, "requirements": "- Count things.", "interface": "None.", "repo_language": "python"},
            **{"fail_to_pass": str(F2P), "pass_to_pass": str(P2P), "selected_test_files_to_run": str([FILE]), "dockerhub_tag": "acme.stock-1a2b3c4d"},
            "before_repo_set_cmd": f"git reset --hard {BASE}\ngit clean -fd\ngit checkout {BASE}\ngit checkout {FIX} -- {FILE}",
            **LOCAL,
            **{"run_script": PRO_RUN, "parser_script": PRO_PARSER},
        },
        "/app",
    ),
    Played(
        "acme__stock-7",
        {
            **{"org": "acme", "repo": "stock", "number": 7, "state": "closed", "title": "Count things", "body": "Sum up", "base": {"label": "acme:main", "ref": "main", "sha": BASE}, "lang": "python"},
            **{"resolved_issues": [{"number": 6, "title": "total is wrong", "body": ISSUE}], "fix_patch": GOLD, "test_patch": TESTS},
            **{"p2p_tests": {name: {"run": "PASS", "test": "PASS", "fix": "PASS"} for name in P2P}, "f2p_tests": {}, "s2p_tests": {}, "n2p_tests": {name: {"run": "NONE", "test": "FAIL", "fix": "PASS"} for name in F2P}},
            "run_result": {"passed_count": 2, "failed_count": 0, "skipped_count": 0, "passed_tests": P2P, "failed_tests": [], "skipped_tests": []},
            "test_patch_result": {"passed_count": 2, "failed_count": 1, "skipped_count": 0, "passed_tests": P2P, "failed_tests": F2P, "skipped_tests": []},
            **LOCAL,
            **{"test_cmd": "python3 check.py", "log_parser": PARSER % "words[1][:4]"},
        },
        "/home/stock",
    ),
    Played("count-things", None, "/app"),
]


def task_sources(folder: Path) -> list[Path]:
    """A file with all rows, and the folder of tasks."""
    path = folder / "families.jsonl"
    path.write_text("".join(json.dumps(one.row) + "\n" for one in ALL if one.row is not None))
    return [path, FOLDER / "harbor"]
