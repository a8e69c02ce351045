"""Docker beside another backend, and another beside Docker, in one server. Played when it is named: `scripts/test second_engine`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from both_backends import PROCESS, both_are_played_at_once_and_survive_the_server, what_was_left_on_both_is_removed, with_both
from conftest import ISOLATED
from engine import Engine, engine_or_leave_out
from server import Server

pytestmark = pytest.mark.skipif(not ISOLATED, reason="engines of their own and oci need root here")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with engine_or_leave_out() as engine:
        yield engine


def pairs(engine: Engine) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    docker = {"type": "docker", "socket": f"{engine.folder}/sock"}
    return {
        "docker beside oci": ({"type": "oci"}, docker),
        "process beside docker": (docker, PROCESS),
        "docker twice, by runtimes": (docker, {**docker, "runtime": "runc"}),
    }


@pytest.mark.parametrize("pair", ["docker beside oci", "process beside docker", "docker twice, by runtimes"])
def test_both_are_played_at_once_survive_the_server_and_leave_nothing(engine: Engine, own: Server, pair: str) -> None:
    first, second = pairs(engine)[pair]
    with_both(own, first, second).start()
    both_are_played_at_once_and_survive_the_server(own, (first["type"], second["type"]))
    what_was_left_on_both_is_removed(own)
    assert engine.containers_of(own.instance) == []


def test_an_engine_that_cannot_be_reached_stops_the_start_with_its_place_named(engine: Engine, own: Server) -> None:
    with_both(own, {"type": "oci"}, {"type": "docker", "socket": f"{engine.folder}/nowhere"})
    with pytest.raises(AssertionError, match=r"backends\.second: backend\.socket: expected a container engine that runs containers: .*nowhere"):
        own.start()
    own.process = None
