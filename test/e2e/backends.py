"""Which backends tests find here, and which ones must be there."""

from __future__ import annotations

import os

import pytest

ISOLATED = os.geteuid() == 0
NEEDS_ROOT = "needs the oci backend, which needs root here"


def leave_out(backend: str, reason: str) -> None:
    """Skips a test for want of a backend; fails it where SANDLOT_REQUIRE_BACKENDS ("oci,process") names that backend."""
    required = os.environ.get("SANDLOT_REQUIRE_BACKENDS", "").split(",")
    if backend in required:
        pytest.fail(f"SANDLOT_REQUIRE_BACKENDS names {backend}: {reason}", pytrace=False)
    pytest.skip(reason)
