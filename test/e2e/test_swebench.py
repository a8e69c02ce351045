"""
Real SWE-bench rows from end to end: prepared without an image, played over gRPC with tools, judged by the official script.
Needs the rows (SANDLOT_DATA), clones of their repositories as <owner>__<name>[.git] (SANDLOT_REPOSITORIES) and a package index.
SANDLOT_SWEBENCH_IDS names other rows than these.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import patch_agent
import pytest
import sandlot
from backends import ISOLATED, NEEDS_ROOT, leave_out
from conftest import _end_all, _folder
from server import ROOT, Server
from test_hidden import nothing_in, scan

KNOWN = "marshmallow-code__marshmallow-1343,marshmallow-code__marshmallow-1359,pydicom__pydicom-1694,sqlfluff__sqlfluff-1733"
ROW_IDS = [name.strip() for name in os.environ.get("SANDLOT_SWEBENCH_IDS", KNOWN).split(",")]
FILES = ("SWE-bench_Lite.dev", "SWE-bench_Lite.test", "SWE-bench_Verified.test")
DATA = Path(os.environ.get("SANDLOT_DATA") or ROOT / "../shared/data") / "swebench"
TIMES = 3
ROW_S = 3600.0


def missing() -> str:
    if not os.environ.get("SANDLOT_REPOSITORIES"):
        return "SANDLOT_REPOSITORIES is not set: it names a folder of clones, <owner>__<name>[.git]"
    if not DATA.is_dir():
        return f"{DATA} is not there: SANDLOT_DATA names the folder of shared data"
    return ""


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(scope="module")
def rows() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name in FILES:
        with gzip.open(DATA / f"{name}.v5.jsonl.gz", "rt") as lines:
            for row in map(json.loads, lines):
                if row["instance_id"] in ROW_IDS:
                    found.setdefault(row["instance_id"], row)
    assert sorted(found) == sorted(set(ROW_IDS)), f"expected the rows in {DATA}"
    return found


@pytest.fixture(scope="module")
def serving(rows: dict[str, dict[str, Any]]) -> Iterator[Server]:
    if not ISOLATED:
        leave_out("oci", NEEDS_ROOT)
    with _folder() as folder:
        file = folder / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows.values()))
        server = Server(folder, tasks=[file])
        yield server.start()
        _end_all(server)


@pytest.mark.parametrize("row_id", ROW_IDS)
def test_a_real_row_is_worth_1_for_its_fix_and_0_else_three_times_of_three(
    serving: Server, rows: dict[str, dict[str, Any]], row_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fix = rows[row_id]["patch"]

    def say(line: str) -> None:
        with capsys.disabled():
            print(f"  {row_id}: {line}", flush=True)

    async def play() -> None:
        async with asyncio.timeout(ROW_S), sandlot.connect(serving.address) as client:
            await prepare(client, row_id, say)
            for _ in range(TIMES):
                began = time.monotonic()
                gold, empty, aside, played = await asyncio.gather(
                    client.grade_patch(row_id, fix), client.grade_patch(row_id, ""), changes_nothing_of_use(client, row_id), by_hand(client, row_id, fix)
                )
                say(f"gold {told(gold)}, empty {told(empty)}, beside the point {told(aside)}, by hand {told(played)}, all in {time.monotonic() - began:.1f} s")
                for grade, expected in ((gold, (1.0, "RESOLVED")), (empty, (0.0, "EMPTY_PATCH")), (aside, (0.0, "UNRESOLVED")), (played, (1.0, "RESOLVED"))):
                    assert (grade.validity, grade.reward, grade.outcome) == ("VALID", *expected), grade.reason
                    assert bool(grade.official_resolved) == (expected[0] == 1.0)

    asyncio.run(play())


@pytest.mark.parametrize("row_id", ROW_IDS)
def test_a_policy_finds_nothing_of_the_answers_to_a_real_row(serving: Server, rows: dict[str, dict[str, Any]], row_id: str) -> None:
    row = rows[row_id]

    async def play() -> None:
        async with sandlot.connect(serving.address) as client, client.trajectory(row_id, limits={"command_ms": 600_000}) as t:
            texts = await answers(t, row)
            assert texts
            assert nothing_in((await t.bash(scan(texts, "files"))).text, texts)["files"] > 100
            known = await t.bash("git rev-list --objects --missing=allow-any --all | cut -d' ' -f1 | sort -u > /tmp/known; git cat-file --batch-all-objects --batch-check='%(objectname)' | sort -u | comm -13 /tmp/known - | wc -l")
            assert known.text == "0\n", "every object that is there belongs to a branch or a tag"
            assert (await t.bash("git for-each-ref --no-merged HEAD")).text == "", "and those to the past of the work tree"
            assert (await t.bash(f"git merge-base --is-ancestor {row['base_commit']} HEAD && git rev-list {row['base_commit']}..HEAD | wc -l")).text in ("0\n", "1\n")
            assert not [text for text in texts if text in repr(t.messages) + repr(t.tools)]

    asyncio.run(play())


async def answers(t: sandlot.Trajectory, row: dict[str, Any]) -> list[str]:
    """Names of the hidden tests and telling lines of both patches, but for what stands in the work tree or the issue anyway."""
    added = [line[1:].strip() for line in (row["patch"] + row["test_patch"]).split("\n") if line.startswith("+") and not line.startswith("+++")]
    listed = row["FAIL_TO_PASS"]
    names = [name.split("::")[-1].split("[")[0].split(" ")[0] for name in (json.loads(listed) if isinstance(listed, str) else listed)]
    texts = sorted({text for text in added if len(text) >= 40} | {name for name in names if len(name) >= 14})
    seen = await t.bash("\n".join(f"git grep -qF -e {shlex.quote(text)} && echo {number}" for number, text in enumerate(texts)))
    public = {int(number) for number in seen.text.split() if number.isdigit()}
    return [text for number, text in enumerate(texts) if number not in public and text not in row["problem_statement"]]


async def prepare(client: sandlot.Client, row_id: str, say: Any) -> None:
    stage = ""
    async for event in client.prepare([row_id]):
        assert not event.fault, f"{event.fault}: {event.message}"
        if event.done:
            say(f"ready in {event.prepare_ms / 1000:.1f} s")
        elif event.stage != stage:
            stage = event.stage
            say(f"{event.stage} {event.message}")


async def changes_nothing_of_use(client: sandlot.Client, row_id: str) -> sandlot.Grade:
    async with client.trajectory(row_id) as t:
        assert (await t.bash("echo nothing found > sandlot-note.txt")).exit_code == 0
        return await t.submit()


async def by_hand(client: sandlot.Client, row_id: str, fix: str) -> sandlot.Grade:
    async with client.trajectory(row_id) as t:
        return await patch_agent.play(t, fix)


def told(grade: sandlot.Grade) -> str:
    return f"{grade.reward} ({grade.timings.grade_ms / 1000:.1f} s)"
