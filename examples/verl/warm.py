"""
Warms the environments of a data set on a running server, and takes the rows of tasks that have none out of it.

    python warm.py --server 127.0.0.1:50051 --data ~/data/swebench_mini
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

import pyarrow.parquet
from pyarrow import Table

import sandlot


async def warm(server: str, token: str | None, ids: list[str]) -> dict[str, str]:
    """Prepares these tasks, and says of which it could not and why."""
    broken: dict[str, str] = {}
    async with sandlot.connect(server, token, patience=15) as client:
        async for event in client.prepare(ids):
            if event.fault:
                broken[event.task_id] = event.message
            if event.done or event.fault:
                print(f"{event.task_id}: {broken.get(event.task_id) or f'ready in {event.prepare_ms} ms'}", flush=True)
    return broken


def task_ids(table: Table) -> list[str]:
    return [extra["task_id"] for extra in table.column("extra_info").to_pylist()]


async def run(server: str, folder: Path) -> str | None:
    """What is wrong, if anything is."""
    files = [folder / "train.parquet", folder / "val.parquet"]
    tables = {path: pyarrow.parquet.read_table(path) for path in files}
    try:
        broken = await warm(
            server,
            os.environ.get("SANDLOT_TOKEN"),
            sorted({one for table in tables.values() for one in task_ids(table)}),
        )
    except sandlot.NotFoundError as error:
        return f"{server} does not have all tasks of {folder} ({error}): serve the --tasks that it was built from"
    except sandlot.UnauthenticatedError as error:
        return f"{server} demands a token ({error}): set SANDLOT_TOKEN"
    except sandlot.ConnectionLost as error:
        start = f"start one, `sandlot serve --listen {server}`, or set SANDLOT_SERVER"
        return f"no Sandlot server answers at {server} ({error}): {start}"
    for path, table in tables.items():
        kept = table.filter([task_id not in broken for task_id in task_ids(table)])
        if not len(kept):
            return f"{path}: none of {len(table)} rows has an environment on {server}"
        if len(kept) < len(table):
            pyarrow.parquet.write_table(kept, path)
            print(f"{path}: {len(table) - len(kept)} of {len(table)} rows taken out, their tasks have no environment")
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=os.environ.get("SANDLOT_SERVER", "127.0.0.1:50051"))
    parser.add_argument("--data", type=Path, default=Path.home() / "data/swebench_mini")
    chosen = parser.parse_args()
    sys.exit(asyncio.run(run(chosen.server, chosen.data.expanduser())))


if __name__ == "__main__":
    main()
