"""A Docker engine for tests, with a socket and folders of its own, and an image that shows this host's programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends import leave_out
from server import ROOT

IMAGE = "sandlot-host"
START_S = 180.0
# What the image shows of this host, read-only.
SHOWN = ["/usr", "/etc", str(ROOT)]


class Engine:
    """Its containers have no network but the host's."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sandlot-engine-", dir=os.environ.get("TMPDIR", "/var/tmp")))
        self.host = f"unix://{self.folder}/sock"
        places = ["--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec", "--pidfile", f"{self.folder}/pid"]
        with open(self.folder / "log", "wb") as log:
            self._process = subprocess.Popen(
                ["dockerd", *places, "-H", self.host, "--bridge", "none", "--iptables=false", "--ip6tables=false"],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @staticmethod
    def missing() -> str | None:
        """Why there is none here."""
        if os.geteuid() != 0:
            return "needs an engine of its own, and so root"
        return None if shutil.which("dockerd") and shutil.which("docker") else "needs dockerd and docker"

    def wait(self) -> None:
        until = time.monotonic() + START_S
        while self.run("version").returncode != 0:
            assert self._process.poll() is None and time.monotonic() < until, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.1)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["docker", "-H", self.host, *arguments], capture_output=True, text=True, check=False, timeout=600)

    def make_image(self) -> None:
        skeleton = self.folder / "skeleton"
        for name in ("usr", "etc", "tmp", "run", "root", "proc", "sys", "dev", "var/lib/sandlot"):
            (skeleton / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (skeleton / name).symlink_to(f"usr/{name}")
        (skeleton / "tmp").chmod(0o1777)
        tar = subprocess.Popen(["tar", "-C", str(skeleton), "-c", "."], stdout=subprocess.PIPE)
        subprocess.run(["docker", "-H", self.host, "import", "-", IMAGE], stdin=tar.stdout, check=True, capture_output=True)
        assert tar.wait() == 0

    def containers_of(self, instance: str) -> list[str]:
        """Those of a server, running or not."""
        return self.run("ps", "--all", "--filter", f"label=sandlot.instance={instance}", "--format", "{{.Names}} {{.Status}}").stdout.splitlines()

    def half_made_of(self, instance: str) -> list[str]:
        """A server's images of layers that are no more: the image, and its layers."""
        found = self.run("images", "--all", "--no-trunc", "--quiet", "--filter", f"label=sandlot.instance={instance}").stdout.split()
        if not found:
            return []
        told = self.run("inspect", "--format", '{{.Id}} {{index .Config.Labels "sandlot.layers"}}', *sorted(set(found))).stdout
        return [line for line in told.splitlines() if not all(os.path.exists(layer) for layer in line.partition(" ")[2].split(":"))]

    def close(self) -> None:
        for container in self.run("ps", "--all", "--quiet").stdout.split():
            self.run("rm", "--force", "--volumes", container)
        self._process.terminate()
        self._process.wait(timeout=300)
        for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):  # the network namespace of containers without one
            if line.split()[4].startswith(f"{self.folder}/"):
                subprocess.run(["umount", line.split()[4]], check=True)
        shutil.rmtree(self.folder)


@contextmanager
def engine_or_leave_out() -> Iterator[Engine]:
    """One that answers; where none can, the test is left out with its reason, or fails where docker must work."""
    missing = Engine.missing()
    if missing is not None:
        leave_out("docker", missing)
    engine = Engine()
    try:
        try:
            engine.wait()
        except AssertionError as error:
            leave_out("docker", f"dockerd does not start here: {error}")
        yield engine
    finally:
        engine.close()
