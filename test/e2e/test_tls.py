"""TLS and certificates of clients, with handshakes as they are."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

import sandlot
import sandlot.sync
from certificates import authority, certificate
from conftest import base_config
from sandlot.adapters.connection import connection
from sandlot.adapters.held import Wanted, hold
from sandlot.adapters.settings import Settings
from server import CLI, ROOT, Server

TASK = "py-interval-merge"
TOKEN = "trainer-token"
PATIENCE_S = 600.0
PROMPT_S = 120.0


@dataclass
class Secured:
    """A server that wants a certificate and a token, and files to meet it with."""

    server: Server
    folder: Path

    @property
    def address(self) -> str:
        return f"grpcs://{self.server.address}"

    def files(self, name: str = "client", ca: str = "ours") -> dict[str, str]:
        folder = self.folder
        return {"ca_file": f"{folder}/{ca}.pem", "cert_file": f"{folder}/{name}.pem", "key_file": f"{folder}/{name}.key"}

    def variables(self) -> dict[str, str]:
        return {f"SANDLOT_TLS_{key.upper()}": path for key, path in self.files().items()}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    authority(folder, "ours")
    authority(folder, "others")
    for name, by, days in (("server", "ours", 2), ("client", "ours", 2), ("stranger", "others", 2), ("ended", "ours", -1)):
        certificate(folder, name, by, days)
    tls = f"tls: {{ cert_file: {folder}/server.pem, key_file: {folder}/server.key, client_ca_file: {folder}/ours.pem }}\n"
    server = Server(folder / "server", config=base_config() + tls)
    server.start(environment={"SANDLOT_TOKEN_TRAINER": TOKEN})
    try:
        yield Secured(server, folder)
        assert server.stop() == 0
    finally:
        server.remove()


def test_every_client_gets_through_with_its_files(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (secured.server.folder / "ready").read_text() == f"{secured.address}\n"

    async def play() -> None:
        async with sandlot.connect(secured.server.address, TOKEN, tls=secured.files()) as client, client.trajectory(TASK) as t:
            assert (await t.bash("echo over TLS")).text == "over TLS\n"
        settings = Settings.read({"server": secured.address, "token": TOKEN, "tls": secured.files()}, "yaml")
        async with connection(settings) as client:
            assert len([task async for task in client.tasks()]) == 8
        held = await hold(Wanted(secured.address, TASK, token=TOKEN, tls=secured.files()))
        try:
            assert (await held.submit()).outcome == "EMPTY_PATCH"
        finally:
            await held.release()

    asyncio.run(play())
    for name, path in secured.variables().items():
        monkeypatch.setenv(name, path)
    with sandlot.sync.connect(secured.address, TOKEN) as client:
        assert client.task(TASK).id == TASK


def test_the_command_line_gets_through_by_options_and_by_the_environment(secured: Secured) -> None:
    files = secured.files()
    options = ["--tls-ca", files["ca_file"], "--tls-cert", files["cert_file"], "--tls-key", files["key_file"]]
    by_options = cli("tasks", "--json", "--server", secured.address, "--token", TOKEN, *options)
    assert len(json.loads(by_options.stdout)) == 8, by_options.stderr
    by_environment = cli("prepare", "--task", TASK, "--server", secured.address, SANDLOT_TOKEN=TOKEN, **secured.variables())
    assert by_environment.returncode == 0, by_environment.stderr
    assert "Warning" not in by_environment.stderr


def test_health_and_reflection_lie_behind_the_same_door(secured: Secured) -> None:
    files = {name: Path(path).read_bytes() for name, path in secured.files().items()}
    known = grpc.ssl_channel_credentials(files["ca_file"], files["key_file"], files["cert_file"])
    unknown = grpc.ssl_channel_credentials(files["ca_file"])
    check, serving = "/grpc.health.v1.Health/Check", b"\x08\x01"
    with grpc.secure_channel(secured.server.address, known) as channel:
        assert channel.unary_unary(check)(b"", timeout=120) == serving
        services = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        assert b"sandlot.v1.RolloutService" in next(services(iter([b"\x3a\x00"]), timeout=120))
    for door in (grpc.secure_channel(secured.server.address, unknown), grpc.insecure_channel(secured.server.address)):
        with door, pytest.raises(grpc.RpcError) as refused:
            door.unary_unary(check)(b"", timeout=120)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("scheme", "files", "message"),
    [
        ("", {}, "the server speaks TLS, and this client plain text: use grpcs://HOST:PORT"),
        ("grpcs://", {"ca_file": "ours.pem"}, r"will not have the certificate of this client \(no cert_file was named\)"),
        ("grpcs://", {"ca_file": "others.pem"}, r"certificate of the server will not do: .*\(trusted: .*others.pem\)"),
        ("grpcs://", {}, r"certificate of the server will not do: .*\(trusted: the system's"),
        ("grpcs://", {"ca_file": "ours.pem", "server_name": "elsewhere"}, "certificate of the server will not do: Hostname mismatch"),
        ("grpcs://", {"ca_file": "ours.pem", "cert_file": "stranger.pem", "key_file": "stranger.key"}, r"will not have .*stranger.pem"),
        ("grpcs://", {"ca_file": "ours.pem", "cert_file": "ended.pem", "key_file": "ended.key"}, r"will not have .*ended.pem"),
    ],
)
def test_a_client_that_will_not_get_on_with_its_server_says_why_at_once(secured: Secured, scheme: str, files: dict[str, str], message: str) -> None:
    tls = {key: name if key == "server_name" else f"{secured.folder}/{name}" for key, name in files.items()}
    started = time.monotonic()
    with pytest.raises(sandlot.InvalidError, match=message) as refused:
        sandlot.sync.connect(scheme + secured.server.address, TOKEN, tls=tls, patience=PATIENCE_S).__enter__()
    assert refused.value.field == "tls"
    assert time.monotonic() - started < PROMPT_S


def test_tls_to_a_plain_port_is_told_and_a_server_that_is_down_is_another_thing(shared: Server, secured: Secured) -> None:
    with pytest.raises(sandlot.InvalidError, match="the server speaks plain text, and this client TLS: use HOST:PORT"):
        sandlot.sync.connect(f"grpcs://{shared.address}", tls={"ca_file": secured.files()["ca_file"]}, patience=PATIENCE_S).__enter__()
    with pytest.raises(sandlot.ConnectionLost):
        sandlot.sync.connect("grpcs://127.0.0.1:1", patience=0.5).__enter__()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"ca_file": "nowhere.pem"}, r"tls.ca_file: expected a file that can be read, got .*nowhere.pem \(No such file"),
        ({"ca_file": "server.key"}, r"tls.ca_file: expected certificates in PEM, got .*server.key"),
        ({"cert_file": "client.pem"}, "tls.key_file: expected a file, since tls.cert_file is set, got nothing"),
        ({"cert_file": "client.pem", "key_file": "server.key"}, r"tls.cert_file: expected a certificate in PEM and its key .*KEY_VALUES_MISMATCH"),
        ({"certificate": "client.pem"}, "tls: expected paths by the keys ca_file, cert_file, key_file, server_name, got certificate"),
    ],
)
def test_files_of_a_client_that_will_not_do_are_named(secured: Secured, files: dict[str, str], message: str) -> None:
    tls = {key: f"{secured.folder}/{name}" for key, name in files.items()}
    with pytest.raises(sandlot.InvalidError, match=message):
        sandlot.sync.connect(secured.address, TOKEN, tls=tls).__enter__()


def test_an_address_that_says_two_things_is_refused() -> None:
    with pytest.raises(sandlot.InvalidError, match=r"address: expected HOST:PORT or grpcs://HOST:PORT, got 'https://a:1'"):
        sandlot.sync.connect("https://a:1").__enter__()
    with pytest.raises(sandlot.InvalidError, match=r"tls: expected nothing, since the address begins with grpc://"):
        sandlot.sync.connect("grpc://a:1", tls={"server_name": "x"}).__enter__()


def test_a_renewed_certificate_is_shown_and_a_broken_one_is_not_while_a_trajectory_goes_on(own: Server, tmp_path: Path) -> None:
    for name in ("first", "second"):
        authority(tmp_path, name)
        certificate(tmp_path, f"of-{name}", name)
    served = {part: tmp_path / f"served.{part}" for part in ("pem", "key")}

    def serve_that_of(name: str) -> None:
        for part, place in served.items():
            shutil.copy(tmp_path / f"of-{name}.{part}", f"{place}.new")
            os.rename(f"{place}.new", place)

    serve_that_of("first")
    own.config = base_config() + f"tls: {{ cert_file: {served['pem']}, key_file: {served['key']} }}\n"
    own.tls = {"ca_file": f"{tmp_path}/second.pem"}
    own.start()

    def knows(name: str) -> sandlot.sync.Client:
        return sandlot.sync.connect(f"grpcs://{own.address}", tls={"ca_file": f"{tmp_path}/{name}.pem"})

    with knows("first") as client, client.trajectory(TASK) as t:
        served["key"].write_text("no key")
        own.wait_until(lambda: "a certificate changed and will not do" in own.log, "the broken key to be seen")
        with knows("first") as another:
            assert another.info().version
        serve_that_of("second")
        own.wait_until(lambda: "TLS: new certificate" in own.log, "the new certificate to be seen")
        with knows("second") as another:
            assert another.info().version
        assert t.bash("echo still here").text == "still here\n"
    with pytest.raises(sandlot.InvalidError, match="certificate of the server will not do"):
        knows("first").__enter__()


def test_what_a_server_cannot_show_stops_its_start(tmp_path: Path) -> None:
    authority(tmp_path, "ours")
    cert, _ = certificate(tmp_path, "server", "ours")
    _, others_key = certificate(tmp_path, "other", "ours")
    os.mkfifo(tmp_path / "pipe")
    for text, message in (
        (f"{{ cert_file: {tmp_path}/pipe, key_file: {cert} }}", f"tls.cert_file: expected a regular file of at most 1048576 bytes, got {tmp_path}/pipe"),
        (f"{{ cert_file: {cert}, key_file: {tmp_path}/nowhere }}", f"tls.key_file: expected a file that can be read, got {tmp_path}/nowhere (ENOENT)"),
        (f"{{ cert_file: {cert}, key_file: {others_key} }}", f"tls.key_file: expected the key of the certificate CN=server in {cert}, got another key in {others_key}"),
    ):
        config = tmp_path / "sandlot.yaml"
        config.write_text(f"tls: {text}\n")
        refused = cli("serve", "--config", str(config), "--state", str(tmp_path / "state"), "--listen", "127.0.0.1:0")
        assert refused.returncode == 1
        assert message in refused.stderr
    assert not (tmp_path / "state").exists()
    beyond = cli("serve", "--state", str(tmp_path / "state"), "--listen", "0.0.0.0:0", SANDLOT_TOKEN_TRAINER=TOKEN)
    assert beyond.returncode == 1
    assert "set tls.cert_file and tls.key_file, or say tls.tokens_travel_in_clear_text" in beyond.stderr


def cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False, env={**os.environ, **environment}
    )
