"""The committed messages are what the proto gives, and carry no stamp that an older runtime would refuse."""

import filecmp
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import sandlot._gen

GENERATED = Path(sandlot._gen.__file__).parent
ROOT = Path(__file__).parents[3]


def test_the_generated_messages_demand_no_version_of_protobuf():
    sources = list(GENERATED.glob("*_pb2.py"))
    assert sources
    assert not [path.name for path in sources if "runtime_version" in path.read_text()]


@pytest.mark.skipif(not find_spec("grpc_tools"), reason="grpcio-tools is not installed here")
def test_the_generated_messages_are_those_of_the_proto(tmp_path):
    subprocess.run([sys.executable, ROOT / "scripts/gen_python.py", tmp_path], check=True, timeout=600)
    names = [path.name for path in tmp_path.glob("*_pb2.py*")]
    different = filecmp.cmpfiles(GENERATED, tmp_path, names, shallow=False)[1:]
    assert names and different == ([], [])
