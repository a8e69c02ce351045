"""
One trainer process among several: asks for many trajectories at once, does one command in each, releases them.
Arguments: address, number of this process, how many. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import sandlot


async def main(address: str, number: int, count: int) -> dict[str, object]:
    slowest = 0.0

    async def one(index: int) -> str:
        nonlocal slowest
        begun = time.monotonic()
        labels = {"run_id": f"process-{number}"}
        async with client.trajectory("py-interval-merge", group=(f"{number}-{index // 8}", 8), labels=labels, limits={"memory_mib": 128}) as t:
            slowest = max(slowest, time.monotonic() - begun)
            result = await t.bash("echo $((6 * 7))")
            return f"{result.kind} {result.text.strip()}"

    async with sandlot.connect(address, create_deadline=900) as client:
        answers = await asyncio.gather(*(one(index) for index in range(count)), return_exceptions=True)
    words = [answer if isinstance(answer, str) else f"{type(answer).__name__}: {answer}" for answer in answers]
    return {"answers": {word: words.count(word) for word in set(words)}, "slowest_s": round(slowest, 1)}


print(json.dumps(asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
