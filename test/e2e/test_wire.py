"""What any gRPC client may do to the port: the right things, the wrong things, and bytes that are no message."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from server import ROOT, Server

SERVICE = "sandlot.v1.RolloutService"
MIB = 1 << 20
CLI = [str(ROOT / "scripts/node"), str(ROOT / "src/cli/main.ts")]


@contextlib.contextmanager
def channel_to(server: Server) -> Iterator[grpc.Channel]:
    sizes = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(server.address, sizes) as channel:
        yield channel


def raw(channel: grpc.Channel, method: str, data: bytes, token: str = "") -> tuple[grpc.StatusCode, bytes, grpc.RpcError | None]:
    """One call of bytes for bytes."""
    call = channel.unary_unary(f"/{SERVICE}/{method}", request_serializer=bytes, response_deserializer=bytes)
    try:
        metadata = [("authorization", f"Bearer {token}")] if token else []
        return grpc.StatusCode.OK, call(data, timeout=300, metadata=metadata), None
    except grpc.RpcError as error:
        return error.code(), b"", error


def reason(error: grpc.RpcError | None) -> str:
    """The fault word of an error, or nothing."""
    assert error is not None
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    assert info.domain == "sandlot"
                    return info.reason
    return ""


def test_a_client_without_our_files_finds_and_calls_everything_by_reflection(shared: Server) -> None:
    with channel_to(shared) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert {SERVICE, "grpc.health.v1.Health"} <= set(database.get_services())
        pool = descriptor_pool.DescriptorPool(database)
        service = pool.FindServiceByName(SERVICE)
        assert len(service.methods) == 15
        method = service.FindMethodByName("GetServerInfo")
        request = message_factory.GetMessageClass(method.input_type)()
        answer = message_factory.GetMessageClass(method.output_type)
        call = channel.unary_unary(f"/{SERVICE}/GetServerInfo", type(request).SerializeToString, answer.FromString)
        info = call(request, timeout=300)
        assert info.tasks == 8
        assert info.default_limits.output_bytes == 16384
        assert "default" in info.pools


def test_health_knows_its_services_and_no_others(shared: Server) -> None:
    with channel_to(shared) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", bytes, bytes)
        for name in (b"", SERVICE.encode()):
            assert check(b"\x0a" + bytes([len(name)]) + name, timeout=300) == b"\x08\x01"
        with pytest.raises(grpc.RpcError) as error:
            check(b"\x0a\x01x", timeout=300)
        assert error.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("method", ["Create", "Execute", "Step", "Grade", "Release", "GetTrajectory", "ListTasks"])
def test_bytes_that_are_no_message_are_invalid(shared: Server, method: str) -> None:
    with channel_to(shared) as channel:
        for data in (b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x01\xff", b"\x00" * 100):
            code, _, error = raw(channel, method, data)
            assert code == grpc.StatusCode.INVALID_ARGUMENT
            assert reason(error) == "invalid"
        assert raw(channel, "GetServerInfo", b"")[0] == grpc.StatusCode.OK


def test_an_unknown_method_is_unimplemented_and_not_our_fault_word(shared: Server) -> None:
    with channel_to(shared) as channel:
        code, _, error = raw(channel, "Fork", b"")
        assert code == grpc.StatusCode.UNIMPLEMENTED
        assert reason(error) == ""


def test_a_message_up_to_64_mib_is_taken_and_a_larger_one_is_refused_without_a_retry(shared: Server) -> None:
    with channel_to(shared) as channel:
        # An unknown field (15) of so many bytes: a message that is right, for a call that is not.
        def padded(size: int) -> bytes:
            length = size - 5
            return bytes([0x7A, length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14 & 0x7F | 0x80, length >> 21 & 0x7F]) + bytes(length)

        code, _, error = raw(channel, "Create", padded(64 * MIB))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert reason(error) == "invalid"
        code, _, error = raw(channel, "Create", padded(64 * MIB + 1))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason(error) == ""
        assert raw(channel, "GetServerInfo", b"")[0] == grpc.StatusCode.OK


def test_tokens_are_asked_for_and_have_scopes(own: Server) -> None:
    own.start(environment={"SANDLOT_TOKEN_A": "trainer-token rollout", "SANDLOT_TOKEN_B": "looker-token hidden"})
    with channel_to(own) as channel:
        code, _, error = raw(channel, "ListTasks", b"")
        assert (code, reason(error)) == (grpc.StatusCode.UNAUTHENTICATED, "unauthenticated")
        code, _, error = raw(channel, "ListTasks", b"", "trainer-toke")
        assert (code, reason(error)) == (grpc.StatusCode.UNAUTHENTICATED, "unauthenticated")
        code, _, error = raw(channel, "ListTasks", b"", "looker-token")
        assert (code, reason(error)) == (grpc.StatusCode.PERMISSION_DENIED, "forbidden")
        assert raw(channel, "ListTasks", b"", "trainer-token")[0] == grpc.StatusCode.OK
    assert own.stop() == 0
    assert "trainer-token" not in own.log


def sandlot(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CLI, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


def test_a_second_server_on_the_same_state_says_who_has_it(shared: Server) -> None:
    assert shared.process
    second = sandlot("serve", "--state", str(shared.state), "--listen", "127.0.0.1:0")
    assert second.returncode == 1
    assert f"in use by the process {shared.process.pid}" in second.stderr
    assert f"--server {shared.address}" in second.stderr


def test_what_cannot_be_is_refused_at_the_start(tmp_path: Path) -> None:
    config = tmp_path / "sandlot.yaml"
    config.write_text("pools:\n  val:\n    slotz: 4\n")
    refused = sandlot("serve", "--config", str(config), "--state", str(tmp_path / "state"))
    assert refused.returncode == 1
    assert f'{config}:3:5: pools.val.slotz: expected a key of slots, queue, priority, got "slotz"' in refused.stderr
    open_to_all = sandlot("serve", "--state", str(tmp_path / "state"), "--listen", "0.0.0.0:0")
    assert open_to_all.returncode == 1
    assert "loopback" in open_to_all.stderr
    nowhere = str(tmp_path / "nowhere")
    for command in (["serve", "--config", nowhere], ["grade", "--task", "t", "--patch", nowhere], ["rollout", "--task", "t", "--commands", nowhere]):
        unread = sandlot(*command, "--state", str(tmp_path / "state"))
        assert unread.returncode == 1
        assert unread.stderr == f"sandlot: {command[-2]}: expected a file that can be read, got {nowhere} (ENOENT)\n"
    assert sandlot("serve", "--nonsense").returncode == 2
    assert sandlot("nonsense").returncode == 2


def keys_of(value: object) -> set[str]:
    """Every key of a JSON document, at any depth, but those of maps whose keys are data."""
    if isinstance(value, list):
        return set().union(*map(keys_of, value))
    if not isinstance(value, dict):
        return set()
    return set(value).union(*(keys_of(part) for key, part in value.items() if key != "tests"))


def test_json_of_every_command_is_spelled_as_the_wire_spells_it(shared: Server, tmp_path: Path) -> None:
    gold = ROOT / "src/tasks/bundled/py-interval-merge/gold.patch"
    task = ["--task", "py-interval-merge"]
    there = ["--server", shared.address, "--json"]
    said = {
        "doctor": sandlot("doctor", "--state", str(tmp_path / "state"), "--json"),
        "tasks": sandlot("tasks", "--json"),
        "tasks of a server": sandlot("tasks", *there),
        "prepare": sandlot("prepare", *task, *there),
        "grade": sandlot("grade", *task, "--patch", str(gold), *there),
    }
    for name, done in said.items():
        found = json.loads(done.stdout)
        odd = {key for key in keys_of(found) if not re.fullmatch(r"[a-z][a-z0-9_]*", key)}
        assert not odd, f"{name}: {odd}"
        if name == "doctor":
            assert {"state_dir", "limits.memory_mib"} <= {each["name"] for each in found}
            assert [set(each["ms"]) for each in found if each["name"] == "backend"] == [{"create", "execute", "file", "release"}]
            odd = {each["name"] for each in found if not re.fullmatch(r"[a-z][a-z0-9_.]*", each["name"])}
            assert not odd
        else:
            assert done.returncode == 0, done.stderr


def test_doctor_tries_each_backend_and_one_that_does_not_work_hides_no_other(tmp_path: Path) -> None:
    config = tmp_path / "sandlot.yaml"
    works = "{ type: process, commands_run_unprotected_on_this_host: true }"
    config.write_text(f"backend: {works}\nbackends:\n  gone: {{ type: docker, socket: {tmp_path}/nowhere }}\n  beside: {works}\n")
    looked = sandlot("doctor", "--state", str(tmp_path / "state"), "--config", str(config), "--json")
    assert looked.returncode == 1
    found = {each["name"]: each for each in json.loads(looked.stdout)}
    assert [found[name]["status"] for name in ("backend", "backends.gone", "backends.beside")] == ["ok", "fail", "ok"]
    assert f"the container engine at {tmp_path}/nowhere cannot be reached" in found["backends.gone"]["message"]
    assert found["backends.beside.isolation"]["status"] == "warn"


def test_a_task_that_is_not_there_is_refused_with_the_command_that_lists_them(shared: Server) -> None:
    refused = sandlot("grade", "--server", shared.address, "--task", "py-interval", "--patch", "/dev/null")
    assert refused.returncode == 1
    assert 'got "py-interval"' in refused.stderr
    assert "`sandlot tasks` lists them" in refused.stderr


def test_a_token_that_cannot_be_read_stops_the_start_before_anything_is_opened(tmp_path: Path) -> None:
    state, ready = tmp_path / "state", tmp_path / "ready"
    refused = subprocess.run(
        [*CLI, "serve", "--state", str(state), "--listen", "127.0.0.1:0", "--ready-file", str(ready)],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "SANDLOT_TOKEN_TRAINER": "my-secret-token rolout"},
    )  # fmt: skip
    assert refused.returncode == 1
    assert "SANDLOT_TOKEN_TRAINER: expected a token of at least 8 characters" in refused.stderr
    assert "my-secret-token" not in refused.stderr + refused.stdout
    assert not state.exists()
    assert not ready.exists()


def test_the_command_line_plays_and_judges(shared: Server, tmp_path: Path) -> None:
    listed = json.loads(sandlot("tasks", "--server", shared.address, "--json", "--filter", "playable=true").stdout)
    assert len(listed) == 8
    gold = ROOT / "src/tasks/bundled/py-interval-merge/gold.patch"
    judged = sandlot("grade", "--server", shared.address, "--task", "py-interval-merge", "--patch", str(gold), "--json")
    assert judged.returncode == 0, judged.stderr
    grade = json.loads(judged.stdout)
    assert (grade["reward"], grade["validity"], grade["outcome"]) == (1, "VALID", "RESOLVED")
    assert "passed_names" not in judged.stdout or grade["tests"]["FAIL_TO_PASS"]["passed_names"] == []
    commands = tmp_path / "commands"
    commands.write_text("# looks\nls\necho x >> README.md\n")
    played = sandlot("rollout", "--server", shared.address, "--task", "py-interval-merge", "--commands", str(commands), "--json")
    assert played.returncode == 0, played.stderr
    assert json.loads(played.stdout)["reward"] == 0
