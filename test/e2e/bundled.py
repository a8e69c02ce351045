"""What the checkout holds of the bundled tasks, and a task file of one's own."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server import ROOT

FOLDER = ROOT / "src/tasks/bundled"
IDS = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


@dataclass(frozen=True)
class Answers:
    """What no policy may see of a task."""

    gold: str
    tests: str
    wrong: dict[str, str]
    fail_to_pass: list[str]

    @classmethod
    def of(cls, task_id: str) -> Answers:
        folder = FOLDER / task_id
        wrong = {path.stem: path.read_text() for path in sorted(folder.glob("wrong-*.patch"))}
        names = listed((folder / "task.yaml").read_text(), "fail_to_pass")
        return cls((folder / "gold.patch").read_text(), (folder / "test.patch").read_text(), wrong, names)


def applied(patch: str) -> str:
    """The command that applies a patch."""
    return f"printf %s {shlex.quote(patch)} | git apply -"


def task_file(folder: Path, task_id: str = "own-task", delay_s: float | str = 0, **changes: Any) -> Path:
    """
    A file with one task on a small repository made in `folder`: `double(2)` gives 5. Its tests take `delay_s` longer
    than they must. `changes`: fields of the task, those of `agent`, `environment` and `grader` put over the others.
    """
    repository = folder / "repository"
    if not repository.exists():
        commit(repository, {"sums.py": "def double(x):\n    return 2 * x + 1\n", "README.md": "Sums.\n", ".gitignore": "__pycache__/\n"})
    base = git(repository, "rev-parse", "HEAD")
    test = "import unittest\nfrom sums import double\n\nclass SumsTest(unittest.TestCase):\n    def test_double(self):\n        self.assertEqual(double(2), 4)\n"
    script = f"#!/bin/bash\nset -uxo pipefail\ncat > test_sums.py <<'EOF'\n{test}EOF\nsleep {delay_s}\n: '>>>>> Start Test Output'\npython3 -m unittest -v test_sums\nSWEBENCH_TEST_EXIT_CODE=$?\n: '>>>>> End Test Output'\n"
    script += 'echo ">>>>> Test Exit Code: $SWEBENCH_TEST_EXIT_CODE"\n'
    row: dict[str, Any] = {
        "id": task_id,
        "repo": "own/sums",
        "language": "python",
        "instruction": "double(2) gives 5.",
        "environment": {"repository": {"type": "path", "path": str(repository)}, "baseCommit": base, "requires": ["python3"]},
        "agent": {},
        "grader": {"rule": "swebench@5.0.2", "apply": "swebench@5.0.2", "parser": "unittest", "script": script, "failToPass": ["test_sums.SumsTest.test_double"], "timeoutMs": 60000},
    }
    for name, value in changes.items():
        row[name] = {**row[name], **value} if name in ("agent", "environment", "grader") else value
    path = folder / f"{task_id}.jsonl"
    path.write_text(json.dumps({name: value for name, value in row.items() if value is not None}) + "\n")
    return path


GOLD_OF_OWN = "sed -i 's/ + 1//' sums.py"


def commit(repository: Path, files: dict[str, str]) -> None:
    repository.mkdir(parents=True, exist_ok=True)
    git(repository, "init", "-q")
    for name, text in files.items():
        (repository / name).write_text(text)
    git(repository, "add", ".")
    git(repository, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "First version")


def git(repository: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(repository), *arguments], check=True, capture_output=True, text=True).stdout.strip()


def listed(yaml: str, key: str) -> list[str]:
    """The items of a plain list in YAML, for which no library is worth its while."""
    after = yaml.split(f"\n{key}:\n", 1)[1].splitlines()
    items = []
    for line in after:
        if not line.startswith("  - "):
            break
        item = line.removeprefix("  - ").strip()
        items.append(json.loads(item) if item.startswith('"') else item)
    return items
