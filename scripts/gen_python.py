"""Python messages from proto/, importable as sandlot._gen.*_pb2, for every protobuf runtime from 4.25 on.

protoc stamps its own version into each file and the runtime refuses anything older than the stamp. The code under the
stamp has been the same since protobuf 4.21, so the stamp is cut; clients/python/tests/test_generated.py keeps it honest.
Needs grpcio-tools (a dependency of development only).
"""

import re
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "clients/python/src/sandlot/_gen"
STAMP = re.compile(
    r"^from google\.protobuf import runtime_version .*\n|^_runtime_version\.Validate[^)]*^\)\n|^# Protobuf Python Version.*\n",
    re.M,
)
SIBLING = re.compile(r"^from sandlot\.v1 import", re.M)


def main() -> None:
    """Writes the messages into clients/python/src/sandlot/_gen, or into the folder given as argument."""
    with tempfile.TemporaryDirectory() as folder:
        sources = [str(path) for path in sorted((ROOT / "proto/sandlot/v1").glob("*.proto"))]
        includes = [f"-I{ROOT}/proto", f"-I{Path(grpc_tools.__file__).parent}/_proto"]
        if protoc.main(["protoc", *includes, f"--python_out={folder}", f"--pyi_out={folder}", *sources]):
            sys.exit(1)
        OUT.mkdir(parents=True, exist_ok=True)
        for old in OUT.glob("*_pb2.py*"):
            old.unlink()
        for new in Path(folder, "sandlot/v1").iterdir():
            text = SIBLING.sub("from . import", STAMP.sub("", new.read_text()))
            text = text.replace("'sandlot.v1.", "'sandlot._gen.")  # the module name that pickle looks for
            (OUT / new.name).write_text(text)
        (OUT / "__init__.py").touch()


main()
