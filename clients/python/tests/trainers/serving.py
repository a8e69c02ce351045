"""Servers for the tests of trainers, and what they must be like afterwards."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(ROOT / "test/e2e"))

from certificates import authority, certificate
from server import Server

BACKEND = "" if os.geteuid() == 0 else "backend: { type: process, commands_run_unprotected_on_this_host: true }\n"
HARNESS = "sandbox_service: { enabled: true }\n"


@contextmanager
def serving(config: str = "") -> Iterator[Server]:
    """A server that is not started yet. In the end it must have released all and left nothing."""
    server = Server(Path(tempfile.mkdtemp(prefix="sandlot-trainer-", dir="/var/tmp")), config=BACKEND + config)
    try:
        yield server
        if server.process is not None:
            ended(server)
    finally:
        server.remove()


@contextmanager
def secured(folder: Path) -> Iterator[Server]:
    """A running server that wants a token and a certificate: `token` and `tls` of it are what a client needs."""
    authority(folder, "ours")
    for name in ("server", "client"):
        certificate(folder, name, "ours")
    tls = f"tls: {{ cert_file: {folder}/server.pem, key_file: {folder}/server.key, client_ca_file: {folder}/ours.pem }}\n"
    with serving(HARNESS + tls) as server:
        server.token = "trainer-token"
        server.tls = {"ca_file": f"{folder}/ours.pem", "cert_file": f"{folder}/client.pem", "key_file": f"{folder}/client.key"}
        yield server.start(environment={"SANDLOT_TOKEN_TRAINER": server.token})


def living(server: Server) -> list[Any]:
    """The trajectories that are not over."""
    return [one for one in listed(server) if one.state != "ENDED"]


def listed(server: Server) -> list[Any]:
    """All trajectories, the newest first."""
    import sandlot

    async def asked() -> list[Any]:
        async with sandlot.connect(server.address, server.token, tls=server.tls) as client:
            return [one async for one in client.list_trajectories()]

    return asyncio.run(asked())


def ended(server: Server) -> None:
    """Stops it, and checks that the tests released all and left nothing."""
    if server.ended:
        server.start()
    left = living(server)
    server.wait_until_gone([one.id for one in listed(server) if one.state == "ENDED"])
    assert server.stop() == 0
    found = {what: items for what, items in server.leftovers().items() if items}
    assert not left, f"not released: {left}"
    assert not found, f"left behind: {found}"
