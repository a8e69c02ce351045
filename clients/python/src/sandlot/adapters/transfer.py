"""Files and folders between this machine and a sandbox that has `tar`."""

from __future__ import annotations

import asyncio
import io
import posixpath
import tarfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sandlot

_MOST_BYTES = 60 << 20
_TAR_MS = 600_000


async def upload(sandbox: sandlot.Sandbox, source: Path | str, target: str) -> None:
    """A file, to be named `target`, or what is in a folder, to be in `target`, over what is there. At most 60 MiB."""
    archive = await asyncio.to_thread(packed, str(source), target)
    unpack = 'mkdir -p -- "$1" && exec tar --no-same-owner -xf - -C "$1"'
    result = await sandbox.exec(["sh", "-c", unpack, "sh", archive.folder], stdin=archive.data, timeout_ms=_TAR_MS)
    if result.exit_code != 0:
        raise OSError(f"upload of {source} to {target}: {result.text.strip()}")


async def download_folder(sandbox: sandlot.Sandbox, source: str, target: Path | str, keep: Keep) -> None:
    """What is in a folder of the sandbox, at most 64 MiB as a tar. `keep` is tar's filter: what comes is hostile."""
    place = f"/tmp/.download-{uuid.uuid4().hex}"
    pack = 'tar -cf "$2" -C "$1" .'
    result = await sandbox.exec(["sh", "-c", pack, "sh", source, place], timeout_ms=_TAR_MS)
    try:
        if result.exit_code != 0:
            raise OSError(f"download of {source}: {result.text.strip()}")
        data = await sandbox.read_file(place)
    finally:
        await sandbox.exec(["rm", "-f", place])
    await asyncio.to_thread(_unpacked, data, Path(target), keep)


Keep = Callable[[tarfile.TarInfo, str], "tarfile.TarInfo | None"]


def _unpacked(data: bytes, target: Path, keep: Keep) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(target, filter=keep)


@dataclass(frozen=True)
class Archive:
    """A tar to be unpacked in `folder`."""

    folder: str
    data: bytes


def packed(source: str, target: str) -> Archive:
    """A file, to be named `target`; or what is in a folder, to be in `target`. Owners are left behind, modes are kept."""
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"upload: no file or folder {source}")
    size = sum(one.stat().st_size for one in [path, *path.rglob("*")] if one.is_file())
    if size > _MOST_BYTES:
        raise ValueError(
            f"upload of {source}: expected at most {_MOST_BYTES >> 20} MiB, got {size / (1 << 20):.0f} MiB"
        )
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        if path.is_dir():
            tar.add(path, arcname=".", filter=_anonymous)
        else:
            tar.add(path.resolve(), arcname=posixpath.basename(target), filter=_anonymous)
    return Archive(target if path.is_dir() else posixpath.dirname(target), buffer.getvalue())


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
