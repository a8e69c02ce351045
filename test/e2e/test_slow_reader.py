"""A client that is slow to take 100 MiB costs the server little memory, however it takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from conftest import _end_all, _folder, base_config
from e2b import E2bServer
from server import Server
from slow_reader import MIB, OFFERED, SIZE, growths

MOST_MIB = 50
# Of what comes as text.
E2B_MOST_MIB = 35


@pytest.fixture
def fresh() -> Iterator[Server]:
    """Nothing large ever went through it."""
    with _folder() as folder:
        server = Server(folder, config=base_config() + OFFERED)
        yield server.start()
        _end_all(server)


def test_100_mib_that_are_taken_slowly_or_with_a_stop_gather_nowhere(fresh: Server) -> None:
    async def all_ways() -> dict[str, tuple[int, float]]:
        return {what: (size, mib) async for what, size, mib in growths(fresh)}

    found = asyncio.run(all_ways())
    assert len(found) == 6
    assert {what: size / MIB for what, (size, _) in found.items() if size != SIZE} == {}
    assert {what: mib for what, (_, mib) in found.items() if mib >= MOST_MIB} == {}


def test_what_machines_of_e2b_print_gathers_nowhere_either() -> None:
    with E2bServer() as service, _folder() as folder:
        server = Server(folder, config=service.config() + OFFERED)
        server.start(environment=service.environment)

        async def all_ways() -> dict[str, tuple[int, float]]:
            return {what: (size, mib) async for what, size, mib in growths(server, ["ExecuteStream", "Exec"])}

        found = asyncio.run(all_ways())
        _end_all(server)
        assert len(found) == 4
        assert {what: size / MIB for what, (size, _) in found.items() if size != SIZE} == {}
        assert {what: mib for what, (_, mib) in found.items() if mib >= E2B_MOST_MIB} == {}
