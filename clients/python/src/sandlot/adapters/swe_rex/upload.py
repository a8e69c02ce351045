"""Files of this machine on their way into a sandbox."""

from __future__ import annotations

import io
import posixpath
import tarfile
from dataclasses import dataclass
from pathlib import Path

_MOST_BYTES = 60 << 20


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
        raise ValueError(f"upload of {source}: expected at most {_MOST_BYTES >> 20} MiB, got {size / (1 << 20):.0f} MiB")
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
