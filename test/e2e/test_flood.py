"""Logs made to stop whoever reads them, while somebody else works: 64 MiB of underscores, at which an official pattern takes minutes a megabyte."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sandlot
from conftest import _end_all, _folder, base_config
from server import Server
from test_hostile import neighbour

MIB = 1 << 20
# A little less than a log may have, the trace of the script counted; and more than it may have.
FLOODS = {"as long as a log may be": 64 * MIB - 4096, "longer": 65 * MIB}
PARSERS = ["parse_log_sympy", "parse_log_pytest_v2", "parse_log_googletest"]
# Waits of a neighbour that are allowed on any machine, far below the hours that a blocked server shows: of one step, and of most of them.
WORST_MS = 15_000
MOST_MS = 500
TIMES = 3

SCRIPT = """cd /testbed
: '>>>>> Start Test Output'
sh tests.sh
: '>>>>> End Test Output'
"""


@pytest.fixture(scope="module")
def flooded() -> Iterator[Server]:
    with _folder() as folder:
        base = repository(folder / "flood")
        rows = [row(parser, base) for parser in PARSERS]
        (folder / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        server = Server(folder, config=base_config(), tasks=[folder / "rows.jsonl"])
        yield server.start()
        _end_all(server)


@pytest.mark.parametrize("size", FLOODS)
@pytest.mark.parametrize("parser", PARSERS)
def test_a_flood_of_underscores_is_a_0_and_holds_nobody_up(flooded: Server, parser: str, size: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def play() -> list[sandlot.Grade]:
        async with sandlot.connect(flooded.address) as client, neighbour(client) as took:
            await client.grade_patch(parser, patch("echo nothing"))
            async with asyncio.timeout(300):
                while len(took) < 20:
                    await asyncio.sleep(0.05)
            before = list(took)
            flood = patch(f"head -c {FLOODS[size]} /dev/zero | tr '\\\\0' _")
            grades = await asyncio.gather(*(client.grade_patch(parser, flood) for _ in range(TIMES)))
            during = took[len(before) :]
            with capsys.disabled():
                print(f"  {parser}, {size}: a step of a neighbour took {told(before)} before, {told(during)} while {TIMES} were graded")
            assert max(during) < WORST_MS
            assert statistics.median(during) < max(MOST_MS, 10 * statistics.median(before))
            return grades

    for grade in asyncio.run(play()):
        assert (grade.validity, grade.reward, grade.outcome) == ("VALID", 0.0, "TESTS_DID_NOT_FINISH"), grade.reason


def told(took: list[float]) -> str:
    assert took, "not one step in all that time"
    return f"p50 {statistics.median(took):.0f} worst {max(took):.0f} ms (n={len(took)})"


def repository(folder: Path) -> str:
    """A clone with one file, `tests.sh`, which is what the tests run. Its commit."""
    folder.mkdir()
    (folder / "tests.sh").write_text("echo the tests\n")

    def git(*words: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "core.hooksPath=/dev/null"]
        return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q", "-b", "main")
    git("add", "tests.sh")
    git("commit", "-qm", "base")
    return git("rev-parse", "HEAD")


def row(parser: str, base: str) -> dict[str, Any]:
    return {
        "instance_id": parser,
        "repo": "flood/flood",
        "base_commit": base,
        "problem_statement": "Be quiet.",
        "eval_script": SCRIPT,
        "log_parser": parser,
        "FAIL_TO_PASS": ["a"],
        "PASS_TO_PASS": [],
        "repository": "flood",
        "setup": [],
    }


def patch(command: str) -> str:
    return f"diff --git a/tests.sh b/tests.sh\n--- a/tests.sh\n+++ b/tests.sh\n@@ -1 +1 @@\n-echo the tests\n+{command}\n"
