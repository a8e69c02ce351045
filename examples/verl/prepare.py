"""
Rows for verl from the tasks of a running server, and their environments warmed up.

    python prepare.py --server 127.0.0.1:50051 --out ~/data/swebench_mini --filter 'playable=true' --val 0.2
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import sandlot


def row(task: sandlot.Task, split: str, index: int) -> dict[str, Any]:
    """
    A row as verl reads it. What grades the task stays on the server; the row names the task, once for the agent loop and
    once per tool for verl's own loop. All rows have the same shape, or Parquet would fill holes with None.
    """
    create = {"create_kwargs": {"task_id": task.id}}
    return {
        "data_source": f"sandlot/{task.dataset or 'tasks'}",
        "agent_name": "sandlot",
        "prompt": [dict(message) for message in task.messages],
        "ability": "code",
        "reward_model": {"style": "rule", "ground_truth": ""},
        "extra_info": {
            "split": split,
            "index": index,
            "task_id": task.id,
            "repo": task.repo,
            "base_commit": task.base_commit,
            "need_tools_kwargs": True,
            "tools_kwargs": {"bash": create, "submit_solution": create},
        },
    }


def split_of(task_id: str, val: float) -> str:
    """Depends on the task alone: more tasks later move none from one side to the other."""
    return "val" if int(hashlib.sha256(task_id.encode()).hexdigest()[:8], 16) < val * 2**32 else "train"


def write(rows: Sequence[dict[str, Any]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)


async def prepare(server: str, out: Path, filter: str, val: float) -> bool:
    """Writes train.parquet and val.parquet of the tasks whose environments could be prepared; false when one has none."""
    async with sandlot.connect(server, os.environ.get("SANDLOT_TOKEN"), patience=15) as client:
        ids = [task.id async for task in client.tasks(filter)]
        broken = {}
        async for event in client.prepare(ids):
            if event.fault:
                broken[event.task_id] = event.message
            if event.done:
                print(f"{event.task_id}: {'left out: ' + event.message if event.fault else f'ready in {event.prepare_ms} ms'}")
        tasks = [await client.task(task_id) for task_id in sorted(set(ids) - set(broken))]
    for split in ("train", "val"):
        chosen = [task for task in tasks if split_of(task.id, val) == split]
        if not chosen:
            print(f"{split}: none of {len(tasks)} tasks; mend --filter or --val", file=sys.stderr)
            return False
        write([row(task, split, index) for index, task in enumerate(chosen)], out / f"{split}.parquet")
        print(f"{out / f'{split}.parquet'}: {len(chosen)} rows")
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=os.environ.get("SANDLOT_SERVER", "127.0.0.1:50051"))
    parser.add_argument("--out", type=Path, default=Path.home() / "data/swebench_mini")
    parser.add_argument("--filter", default="playable=true")
    parser.add_argument("--val", type=float, default=0.2)
    chosen = parser.parse_args()
    try:
        sys.exit(0 if asyncio.run(prepare(chosen.server, chosen.out.expanduser(), chosen.filter, chosen.val)) else 1)
    except sandlot.SandlotError as error:
        sys.exit(f"prepare: {chosen.server}: {error.fault}: {error}")


if __name__ == "__main__":
    main()
