"""Images that the families' rows name, made of this host's own programs: no registry, no engine. One layer with the programs, shared, and one with what the family's image has."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import families

PROGRAMS = [
    *["bash", "sh", "git", "cat", "cp", "chmod", "cut", "date", "dd", "diff", "dirname", "env", "find", "grep", "head", "id", "install"],
    *["ln", "ls", "mkdir", "mktemp", "mv", "patch", "printf", "pwd", "readlink", "rm", "sed", "sort", "stat", "tail", "tar", "tee", "touch", "tr", "true", "uniq", "wc", "xargs"],
]
# What a machine of E2B has to have beside them: see docs/e2b.md.
OF_A_MACHINE = ["df", "mkfs.ext4", "mount", "pivot_root", "seq", "sleep", "sync", "truncate", "umount", "unshare"]
LEFT_OUT = {"test", "idlelib", "ensurepip", "lib2to3", "tkinter", "__pycache__", "pydoc_data", "site-packages", "dist-packages"}
MEDIA = "application/vnd.oci.image"


class Images:
    """A folder of images by their names, as the setting `backend.images` takes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, Path] = {}
        """With the layout of each."""
        self.base = folder / ".base.tar"
        folder.mkdir(parents=True)
        with tarfile.open(self.base, "w") as tar:
            _programs(tar)
            _python(tar)
            link = tarfile.TarInfo("bin")
            link.type, link.linkname = tarfile.SYMTYPE, "usr/bin"
            tar.addfile(link)
            for name in ("tmp", "var/tmp", "root", "home", "etc"):
                entry = tarfile.TarInfo(name)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name.endswith("tmp") else 0o755
                tar.addfile(entry)
            users = b"root:x:0:0:root:/root:/bin/bash\n"
            entry = tarfile.TarInfo("etc/passwd")
            entry.size = len(users)
            tar.addfile(entry, io.BytesIO(users))

    def add(self, name: str, tree: Path, **config: Any) -> None:
        """An image in the layout of the OCI: the programs, and `tree` above them."""
        flat = name.removesuffix(":latest").replace("/", "__").replace(":", "__")
        layout = self.names[name] = self.folder / flat
        blobs = layout / "blobs/sha256"
        blobs.mkdir(parents=True)
        layers = [_blob(blobs, self.base, link=True)]
        own = io.BytesIO()
        with tarfile.open(fileobj=own, mode="w") as tar:
            tar.add(tree, ".", filter=_roots)
        layers.append(_blob(blobs, own.getvalue()))
        machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
        whole = {"architecture": machine, "os": "linux", "config": config, "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}}
        described = {"schemaVersion": 2, "config": {"mediaType": f"{MEDIA}.config.v1+json", **_blob(blobs, _json(whole))}, "layers": [{"mediaType": f"{MEDIA}.layer.v1.tar", **layer} for layer in layers]}
        manifest = {"mediaType": f"{MEDIA}.manifest.v1+json", **_blob(blobs, _json(described))}
        (layout / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [manifest]}))
        (layout / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))


def docker_archive(images: Images, path: Path) -> None:
    """All of them in one archive, as `docker save` makes it of several: what a layer holds is in it once."""
    manifest = []
    with tarfile.open(path, "w") as tar:
        for name, layout in images.names.items():
            index = json.loads((layout / "index.json").read_bytes())
            described = json.loads((layout / _path_of(index["manifests"][0])).read_bytes())
            blobs = [_path_of(one) for one in [described["config"], *described["layers"]]]
            for blob in blobs:
                if blob not in tar.getnames():
                    tar.add(layout / blob, blob)
            tagged = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
            manifest.append({"Config": blobs[0], "RepoTags": [tagged], "Layers": blobs[1:]})
        text = _json(manifest)
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))


def unpacked(images: Images, folder: Path) -> dict[str, Path]:
    """The files of each, by its name: what the E2B test server takes for an image."""
    roots = {}
    for at, (name, layout) in enumerate(images.names.items()):
        root = roots[name] = folder / str(at)
        root.mkdir(parents=True)
        index = json.loads((layout / "index.json").read_bytes())
        for layer in json.loads((layout / _path_of(index["manifests"][0])).read_bytes())["layers"]:
            subprocess.run(["tar", "-xf", str(layout / _path_of(layer)), "-C", str(root), "--numeric-owner"], check=True)
    return roots


def _path_of(blob: dict[str, Any]) -> str:
    return f"blobs/sha256/{blob['digest'].removeprefix('sha256:')}"


def family_images(images: Images, scratch: Path, only: frozenset[str] | None = None) -> list[dict[str, Any]]:
    """Makes the image of every family's row, or of those of some tasks; the rows, without our own columns that say how to play them without it."""
    rows = []
    for played in families.ALL:
        if played.row is None or played.task_id == "family-swe-bench-classic" or (only is not None and played.task_id not in only):
            continue
        row = {key: value for key, value in played.row.items() if key not in families.LOCAL}
        tree = scratch / played.task_id
        _repository(tree / played.workdir.lstrip("/"), "HEAD~0" if "swesmith" in str(row.get("repo")) else families.BASE)
        _testbed(tree, played.workdir)
        PARTS.get(played.task_id, lambda *_: None)(tree, tree / played.workdir.lstrip("/"))
        images.add(_image_of(row), tree, WorkingDir=played.workdir, Env=["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
        rows.append(row)
    return rows


def _image_of(row: dict[str, Any]) -> str:
    if "docker_image" in row or "image_name" in row:
        return row.get("docker_image") or row["image_name"]
    if "dockerhub_tag" in row:
        return f"jefzda/sweap-images:{row['dockerhub_tag']}"
    if "number" in row:
        return "mswebench/acme_m_stock:pr-7"
    if "test_cmds" in row:
        return f"starryzhang/sweb.eval.x86_64.{row['instance_id']}"
    if row["repo"] == "getmoto/moto":
        return f"xingyaoww/sweb.eval.x86_64.{row['instance_id']}:latest"
    return row["image"]


def _repository(folder: Path, base: str) -> None:
    """As a clone of the whole history: the branches of the fix are there too, and HEAD is at the base commit."""
    folder.mkdir(parents=True)
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}

    def git(*arguments: str, **options: Any) -> None:
        subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True, **options)

    git("init", "-q", "-b", "main")
    with open(families.FOLDER / "repository.fast-export", "rb") as stream:
        git("fast-import", "--quiet", "--force", stdin=stream)
    git("remote", "add", "origin", "https://example.com/acme/stock.git")
    git("checkout", "-q", "--force", "main" if base.startswith("HEAD") else base)
    git("repack", "-a", "-d", "-q")


def _testbed(tree: Path, workdir: str) -> None:
    """What the official scripts activate: see `families.SETUP`."""
    folder = tree / "opt/miniconda3/bin"
    folder.mkdir(parents=True)
    shutil.copy(tree / workdir.lstrip("/") / "check.py", folder / "pytest")
    (folder / "pytest").chmod(0o755)
    (folder / "activate").write_text("PATH=/opt/miniconda3/bin:$PATH\nconda() { :; }\n")


def _r2e(tree: Path, repository: Path) -> None:
    (tree / "r2e_tests").mkdir()
    (tree / "r2e_tests/test_1.py").write_text(families.R2E_TESTS)
    (repository / "run_tests.sh").write_text("python3 check.py -rA r2e_tests\n")
    (repository / ".venv/bin").mkdir(parents=True)
    (repository / ".venv/bin/python").symlink_to("/usr/bin/python3")


def _multi(tree: Path, repository: Path) -> None:
    home = repository.parent
    (home / "test.patch").write_text(families.TESTS)
    (home / "fix.patch").write_text(families.GOLD)
    (home / "fix-run.sh").write_text("#!/bin/bash\nset -e\n\ncd /home/stock\ngit apply /home/test.patch /home/fix.patch\npython3 check.py\n")


PARTS = {f"stock__{families.FIX}": _r2e, "acme__stock-7": _multi}


def harbor_task(folder: Path, images: Images, scratch: Path) -> Path:
    """A task folder whose image has the work and no repository."""
    task = folder / "count-in-an-image"
    shutil.copytree(families.FOLDER / "harbor/count-things", task)
    text = (task / "task.toml").read_text()
    local = text[text.index("[metadata.sandlot]") : text.index("[verifier]")]
    (task / "task.toml").write_text(text.replace(local, "").replace("[environment]", '[environment]\ndocker_image = "acme/count:2"'))
    tree = scratch / "harbor"
    _repository(tree / "app", families.BASE)
    shutil.rmtree(tree / "app/.git")
    images.add("acme/count:2", tree, WorkingDir="/app")
    return task


def _programs(tar: tarfile.TarFile) -> None:
    found = [path for name in [*PROGRAMS, *OF_A_MACHINE, "python3"] if (path := shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin"))]
    told = subprocess.run(["ldd", *found, *_modules()], capture_output=True, text=True, check=False).stdout
    libraries = {word for line in told.splitlines() for word in line.split() if word.startswith("/") and not word.endswith(":")}
    for path in sorted({*found, *libraries}):
        if os.path.exists(path):
            _add(tar, path)


def _stdlib() -> Path:
    asked = [("/usr/bin/python3"), "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]
    return Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())


def _modules() -> list[str]:
    return [str(path) for path in _stdlib().glob("lib-dynload/*.so")]


def _python(tar: tarfile.TarFile) -> None:
    stdlib = _stdlib()
    for folder, names, files in os.walk(stdlib):
        names[:] = [name for name in names if name not in LEFT_OUT and not name.startswith("config-")]
        for name in files:
            _add(tar, os.path.join(folder, name))


def _add(tar: tarfile.TarFile, path: str) -> None:
    """By its content, whatever links lead there."""
    entry = tar.gettarinfo(os.path.realpath(path), path.lstrip("/"))
    if not entry.isreg() and not entry.islnk():
        return
    entry.type, entry.linkname, entry.size = tarfile.REGTYPE, "", os.path.getsize(path)
    with open(path, "rb") as file:
        tar.addfile(_roots(entry), file)


def _roots(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _blob(blobs: Path, content: Path | bytes, *, link: bool = False) -> dict[str, Any]:
    data = content.read_bytes() if isinstance(content, Path) else content
    name = hashlib.sha256(data).hexdigest()
    if link and isinstance(content, Path):
        os.link(content, blobs / name)
    else:
        (blobs / name).write_bytes(data)
    return {"digest": f"sha256:{name}", "size": len(data)}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


