"""One look at every task of a server: `python examples/ten_lines.py [HOST:PORT]`."""

import asyncio
import sys

import sandlot


async def main(address: str) -> None:
    async with sandlot.connect(address) as client:
        async for task in client.tasks("playable=true"):
            async with client.trajectory(task.id, labels={"run_id": "ten-lines"}) as t:
                print(t.messages[-1]["content"].splitlines()[2:4], [tool["function"]["name"] for tool in t.tools])
                result = await t.bash("git log --oneline | head -3 && ls")  # here your policy acts, turn after turn
                print(result.text, result.exit_code, result.timings.command_ms, "ms")
                grade = await t.submit()
                print(task.id, grade.reward, grade.validity, grade.outcome)  # no reward: do not train on it


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"))
