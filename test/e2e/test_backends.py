"""A backend that must be there is no reason to skip."""

from __future__ import annotations

import pytest
from backends import leave_out


def test_a_backend_that_is_required_fails_what_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDLOT_REQUIRE_BACKENDS", "process,oci")
    with pytest.raises(pytest.fail.Exception, match="names oci: no root"):
        leave_out("oci", "no root")


@pytest.mark.parametrize("required", ["", "process", "docker,process"])
def test_one_that_is_not_required_skips_with_its_reason(monkeypatch: pytest.MonkeyPatch, required: str) -> None:
    monkeypatch.setenv("SANDLOT_REQUIRE_BACKENDS", required)
    with pytest.raises(pytest.skip.Exception, match="no root"):
        leave_out("oci", "no root")
