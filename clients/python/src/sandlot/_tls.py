"""How a client knows its server and shows itself, and what is wrong when the two do not get on."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import grpc

from .errors import InvalidError

_PROBE_S = 3.0
_VARIABLE = "SANDLOT_TLS_"
# Without a port gRPC would try 443, and wait.
_ADDRESS = re.compile(
    r"(?:(?P<scheme>grpcs?)://)?(?P<target>(?:\[[:.%\w]+\]|[^\s:/@\[\]]+):(?P<port>\d{1,5}))", re.ASCII
)


@dataclass(frozen=True)
class Tls:
    """Files in PEM."""

    ca_file: str = ""
    """Authorities of which the server must show a certificate; empty = those that gRPC trusts."""
    cert_file: str = ""
    """What the client shows a server that wants a certificate, with its key."""
    key_file: str = ""
    server_name: str = ""
    """The name in the server's certificate, where it is not the one in the address."""

    @classmethod
    def read(cls, given: Tls | Mapping[str, str]) -> Tls:
        """From keyword arguments or YAML; an unknown key is an `InvalidError`."""
        if isinstance(given, Tls):
            return given
        known = [one.name for one in fields(cls)]
        for key, value in given.items():
            if key not in known or not isinstance(value, str):
                raise _wrong("tls", f"paths by the keys {', '.join(known)}", f"{key}: {value!r:.60}")
        return cls(**given)

    @classmethod
    def of_environment(cls) -> Tls:
        """`SANDLOT_TLS_CA_FILE` and the like."""
        return cls(**{one.name: os.environ.get(_VARIABLE + one.name.upper(), "") for one in fields(cls)})


@dataclass(frozen=True)
class Endpoint:
    """Where a server is and how it is spoken to."""

    target: str
    """As gRPC takes it."""
    tls: Tls | None

    @classmethod
    def of(cls, address: str, tls: Tls | Mapping[str, str] | None) -> Endpoint:
        """
        "HOST:PORT" is plain text, "grpcs://HOST:PORT" is TLS with the files of the environment, and either is TLS with
        `tls` where that is given. `InvalidError` says which file will not do.
        """
        scheme, rest = parsed(address)
        if not tls:
            return cls(rest, None if scheme != "grpcs" else _checked(Tls.of_environment()))
        if scheme == "grpc":
            raise _wrong("tls", "nothing, since the address begins with grpc://", repr(tls))
        return cls(rest, _checked(Tls.read(tls)))

    def channel(self, options: list[tuple[str, Any]]) -> grpc.aio.Channel:
        tls = self.tls
        if tls is None:
            return grpc.aio.insecure_channel(self.target, options=options)
        named = [("grpc.ssl_target_name_override", tls.server_name)] if tls.server_name else []
        files = (_bytes("ca_file", tls.ca_file), _bytes("key_file", tls.key_file), _bytes("cert_file", tls.cert_file))
        return grpc.aio.secure_channel(self.target, grpc.ssl_channel_credentials(*files), options=[*options, *named])

    async def quarrel(self) -> str | None:
        """
        What stands between client and server in matters of TLS, found by a handshake of its own; None when there is
        nothing, or nobody answers.
        """
        host, _, port = self.target.rpartition(":")
        try:
            return await asyncio.wait_for(self._quarrel(host.strip("[]"), int(port)), _PROBE_S)
        except (OSError, asyncio.TimeoutError, ValueError):
            return None

    async def _quarrel(self, host: str, port: int) -> str | None:
        tls = self.tls
        try:
            context = _context(tls) if tls else _trusting()
            name = tls.server_name if tls and tls.server_name else host
            reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=name)
        except ssl.SSLError as error:
            return _said(error, tls)
        if tls is None:
            writer.close()
            return _WANTS_TLS
        try:
            # A server that will not have the client's certificate says so behind the handshake, in place of a frame.
            return None if await reader.read(1) else _unwanted(tls, _HUNG_UP)
        except ssl.SSLError as error:
            return _said(error, tls)
        except ConnectionError:
            return _unwanted(tls, _HUNG_UP)
        finally:
            writer.close()


def parsed(address: object) -> tuple[str | None, str]:
    """The scheme, if any, and HOST:PORT. Anything else is an `InvalidError`."""
    match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if match is None or not 0 < int(match["port"]) < 65536:
        raise _wrong("address", "HOST:PORT or grpcs://HOST:PORT", repr(address))
    return match["scheme"], match["target"]


# How a server refuses the certificate of an authority that it was not given, or one that has ended.
_HUNG_UP = "it hung up after the handshake, as for one of an authority that it does not know, or one that has ended"
_WANTS_TLS = "the server speaks TLS, and this client plain text: use grpcs://HOST:PORT, or tls="


def _said(error: ssl.SSLError, tls: Tls | None) -> str | None:
    reason = (error.reason or "").upper()
    if tls is None:
        # An alert is TLS too.
        return _WANTS_TLS if "ALERT" in reason else None
    if "WRONG_VERSION_NUMBER" in reason or "HTTP_REQUEST" in reason:
        return "the server speaks plain text, and this client TLS: use HOST:PORT without grpcs:// and tls="
    if isinstance(error, ssl.SSLCertVerificationError):
        trusted = tls.ca_file or "the system's authorities (no ca_file was named)"
        return f"the certificate of the server will not do: {error.verify_message} (trusted: {trusted})"
    if "ALERT" in reason:
        return _unwanted(tls, reason.lower().replace("_", " "))
    return None


def _unwanted(tls: Tls, why: str) -> str:
    shown = f"it was shown {tls.cert_file}" if tls.cert_file else "no cert_file was named"
    return f"the server will not have the certificate of this client ({shown}): {why}"


def _checked(tls: Tls) -> Tls:
    """Before gRPC is given them: its own complaints name no file."""
    if bool(tls.cert_file) != bool(tls.key_file):
        has, lacks = ("cert_file", "key_file") if tls.cert_file else ("key_file", "cert_file")
        raise _wrong(f"tls.{lacks}", f"a file, since tls.{has} is set", "nothing")
    for name in ("ca_file", "cert_file", "key_file"):
        _bytes(name, getattr(tls, name))
    _context(tls)
    return tls


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if tls.ca_file:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(tls.ca_file)
        except ssl.SSLError as error:
            raise _wrong("tls.ca_file", "certificates in PEM", f"{tls.ca_file} ({error})") from error
    if tls.cert_file:
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: "")
        except ssl.SSLError as error:
            expected = "a certificate in PEM and its key without a passphrase"
            raise _wrong("tls.cert_file", expected, f"{tls.cert_file} and {tls.key_file} ({error})") from error
    context.set_alpn_protocols(["h2"])
    return context


def _trusting() -> ssl.SSLContext:
    """For a look at whether a server speaks TLS; nothing is said to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def _bytes(name: str, path: str) -> bytes | None:
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _wrong(f"tls.{name}", "a file that can be read", f"{path} ({error.strerror})") from error


def _wrong(field: str, expected: str, got: str) -> InvalidError:
    return InvalidError(f"{field}: expected {expected}, got {got}", field=field)
