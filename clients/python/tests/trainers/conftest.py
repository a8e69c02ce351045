"""Servers that the tests of several trainers use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from serving import HARNESS, secured, serving

from server import Server


@pytest.fixture(scope="session")
def shared() -> Iterator[Server]:
    """A running server for tests that leave it as it was."""
    with serving(HARNESS) as server:
        yield server.start()


@pytest.fixture
def own() -> Iterator[Server]:
    """A server that is not started yet, and may be killed."""
    with serving(HARNESS) as server:
        yield server


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Server]:
    """A running server behind TLS and a token."""
    with secured(tmp_path) as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def quiet(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Packages write into the home folder, and some ask the network."""
    os.environ.update(
        HOME=str(tmp_path_factory.mktemp("home")),
        HF_HUB_OFFLINE="1",
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        MSWEA_SILENT_STARTUP="1",
    )
    os.environ.pop("SANDLOT_TOKEN", None)
