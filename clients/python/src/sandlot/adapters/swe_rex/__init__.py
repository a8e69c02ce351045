"""Sandlot as a deployment of SWE-ReX 1.4: what SWE-agent, and whatever else runs on SWE-ReX, does its commands in."""

from .deployment import SandlotDeployment
from .runtime import SandlotRuntime

__all__ = ["SandlotDeployment", "SandlotRuntime"]
