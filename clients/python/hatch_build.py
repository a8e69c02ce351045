"""A wheel with the server in it has a program for one kind of machine; one without is for all."""

import platform
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SERVER = Path("src/sandlot/_server")


class ServerHook(BuildHookInterface):
    """Tags the wheel by the static program that the server brings (no C library is asked for: any Linux will do)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if not Path(self.root, SERVER, "runner/sandlot-runner").exists():
            return
        machine = platform.machine()
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-manylinux_2_17_{machine}.manylinux2014_{machine}.musllinux_1_1_{machine}"
        build_data["artifacts"].append(f"{SERVER}/**")
