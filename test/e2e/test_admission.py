"""More than fits: who comes is served, in fair turns, or told when to come back."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import sandlot
from raw import TASK, create, refused, release, stub
from sandlot._gen import rollout_service_pb2 as pb
from sandlot._gen import trajectory_pb2
from server import Server, Serving

MANY = Path(__file__).parent / "create_many.py"


def memory_mib(server: Server) -> float:
    assert server.process
    return int(Path(f"/proc/{server.process.pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


@pytest.mark.parametrize(("slots", "queue", "each"), [(1000, 4096, 64), (24, 64, 32)], ids=["512 with room for all", "256 with a small pool and a short line"])
def test_creates_at_once_from_8_processes_are_all_served(own: Server, isolated: None, slots: int, queue: int, each: int) -> None:
    own.config = f"pools: {{ default: {{ slots: {slots}, queue: {queue} }} }}\n"
    own.start()
    asyncio.run(prepared(own))
    before, highest, begun = memory_mib(own), 0.0, time.monotonic()
    clients = [subprocess.Popen([sys.executable, str(MANY), own.address, str(number), str(each)], stdout=subprocess.PIPE, text=True) for number in range(8)]
    while any(client.poll() is None for client in clients):
        highest = max(highest, memory_mib(own))
        assert time.monotonic() - begun < 900
        time.sleep(0.1)
    reports = [json.loads(client.communicate()[0]) for client in clients]
    assert [report["answers"] for report in reports] == [{"OK 42": each}] * 8
    assert highest - before < 400, f"{before:.0f} MiB before, {highest:.0f} at most"
    assert asyncio.run(used(own)) == (0, 0)
    print(f"{8 * each} creates in {time.monotonic() - begun:.1f} s, slowest {max(report['slowest_s'] for report in reports)} s, server {before:.0f} to {highest:.0f} MiB")


async def prepared(server: Server) -> None:
    async with sandlot.connect(server.address) as client:
        assert [event.done async for event in client.prepare([TASK])][-1]


async def used(server: Server) -> tuple[int, int]:
    async with sandlot.connect(server.address) as client:
        pool = (await client.info()).pools["default"]
        return pool.used, pool.queued


def test_a_full_line_is_told_when_to_come_back_and_who_comes_back_is_served(slow: Server) -> None:
    async def play() -> None:
        async with sandlot.connect(slow.address) as client, stub(slow) as service:
            holders = [await client.trajectory("slow", pool="two").open() for _ in range(2)]
            waiting = [asyncio.create_task(create(service, f"in line {n}", task_id="slow", pool="two")) for n in range(2)]
            while (await client.info()).pools["two"].queued < 2:
                await asyncio.sleep(0.02)
            error = await refused(create(service, "one too many", task_id="slow", pool="two"))
            assert (error.fault, error.field, error.knob) == ("busy", "pool", "pools.two.queue")
            assert error.retry_after and 0.3 <= error.retry_after <= 60
            patient = asyncio.create_task(client.trajectory("slow", pool="two").open())
            with pytest.raises(sandlot.BusyError):
                await client.trajectory("slow", pool="two", create_deadline=3).open()
            assert (await client.trajectory("slow").open()).summary.pool == "default", "another pool has room"
            for holder in holders:
                await holder.release()
            served = [one.id for one in await asyncio.gather(*waiting)]
            await release(service, *served)
            await (await patient).release()
            await client.release([one.id async for one in client.list_trajectories("state=ACTIVE")])

    asyncio.run(play())


def test_a_group_is_admitted_whole_or_waits_whole(anyone_slow: Serving) -> None:
    async def play() -> None:
        async with stub(anyone_slow) as service:

            def member(number: int, name: str = "gang", size: int = 2) -> asyncio.Task[Any]:
                group = trajectory_pb2.Group(id=name, size=size)
                return asyncio.create_task(create(service, f"{name} {number}", task_id="slow", pool="two", group=group))

            error = await refused(create(service, "large", task_id="slow", pool="two", group=trajectory_pb2.Group(id="large", size=3)))
            assert (error.fault, error.field, error.knob) == ("invalid", "group.size", "pools.two.slots")
            alone = await create(service, "alone", task_id="slow", pool="two", group=trajectory_pb2.Group(id="unknown", size=0))
            gang = [member(number) for number in (1, 2)]
            while await pool(service) != (1, 2):
                await asyncio.sleep(0.02)
            assert not any(one.done() for one in gang), "one slot is free, and half a group does not take it"
            await release(service, alone.id)
            both = await asyncio.gather(*gang)
            assert await pool(service) == (2, 0)
            late = member(3)
            await release(service, both[0].id)
            await release(service, (await late).id, both[1].id)

    asyncio.run(play())


async def pool(service: Any) -> tuple[int, int]:
    two = (await service.GetServerInfo(pb.GetServerInfoRequest(), timeout=60)).pools["two"]
    return two.used, two.queued
