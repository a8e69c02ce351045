"""deploy/pod.yaml on a cluster. KUBECONFIG names it, SANDLOT_POD_IMAGE an image made of deploy/Dockerfile that its nodes have or can pull."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import sandlot
from certificates import authority, certificate
from server import ROOT, Server, free_port

TASK = "py-interval-merge"
IMAGE = os.environ.get("SANDLOT_POD_IMAGE", "sandlot")
STARTS_S = 600.0


@dataclass
class Pod:
    """A namespace of its own with the manifest in it, whose state lies in a folder of its own on the node."""

    folder: Path
    namespace: str = field(default_factory=lambda: f"sandlot-test-{secrets.token_hex(4)}")
    port: int = field(default_factory=free_port)
    token: str = field(default_factory=lambda: secrets.token_hex(24))
    _forward: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> str:
        return f"/var/lib/{self.namespace}"

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        command = ["kubectl", "--namespace", self.namespace, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=STARTS_S)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def apply(self) -> None:
        authority(self.folder, "ours")
        cert, key = certificate(self.folder, "server", "ours")
        self.kubectl("create", "namespace", self.namespace)
        self.kubectl("label", "namespace", self.namespace, "pod-security.kubernetes.io/enforce=privileged")
        self.kubectl("create", "secret", "tls", "sandlot-tls", f"--cert={cert}", f"--key={key}")
        self.kubectl("create", "secret", "generic", "sandlot-tokens", f"--from-literal=SANDLOT_TOKEN_TRAINER={self.token}")
        manifest = (ROOT / "deploy/pod.yaml").read_text()
        for ours, tests in (("path: /var/lib/sandlot,", f"path: {self.state},"), ("image: sandlot\n", f"image: {IMAGE}\n")):
            assert ours in manifest
            manifest = manifest.replace(ours, tests)
        self.kubectl("apply", "--filename", "-", stdin=manifest)

    def look_from(self, node: str) -> None:
        """A pod that sees the processes, control groups and state folders of a node, for `on_node`."""
        shown = {"groups": "/sys/fs/cgroup", "states": "/var/lib"}
        container = {
            **{"name": "look", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "infinity"]},
            **{"securityContext": {"privileged": True}, "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in shown]},
        }
        spec = {
            **{"nodeName": node, "hostPID": True, "containers": [container], "terminationGracePeriodSeconds": 0},
            **{"automountServiceAccountToken": False, "volumes": [{"name": name, "hostPath": {"path": path}} for name, path in shown.items()]},
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "look"}, "spec": spec}
        self.kubectl("apply", "--filename", "-", stdin=json.dumps(pod))
        self.kubectl("wait", "--for=condition=Ready", "pod/look", f"--timeout={STARTS_S:.0f}s")

    def on_node(self, script: str) -> str:
        return self.kubectl("exec", "look", "--", "sh", "-c", script)

    def status(self) -> dict:
        return json.loads(self.kubectl("get", "pods", "--selector", "app=sandlot", "--output", "json"))

    def forward(self, restarts: int = 0, not_uid: str = "") -> None:
        """Waits until the pod (another than `not_uid`) is ready after so many restarts, and lets its port be reached here."""
        self.close()

        def ready() -> bool:
            return any(
                pod["metadata"]["uid"] != not_uid and each["ready"] and each["restartCount"] == restarts
                for pod in self.status()["items"]
                for each in pod["status"].get("containerStatuses", [])
            )

        Server.wait_until(ready, f"a pod that is ready: {self.status()}", STARTS_S)
        with open(self.folder / "forward.log", "ab") as log:
            command = ["kubectl", "--namespace", self.namespace, "port-forward", "pod/sandlot-0", f"{self.port}:grpc"]
            self._forward = subprocess.Popen(command, stdout=log, stderr=log)

    def close(self) -> None:
        if self._forward is not None:
            self._forward.kill()
            self._forward.wait()
            self._forward = None

    def end(self) -> None:
        """Of the server alone: its namespace and what it left on the node stay."""
        self.close()
        self.kubectl("delete", "--ignore-not-found", "statefulset", "sandlot")
        Server.wait_until(lambda: not self.status()["items"], "the pod to go", STARTS_S)

    def left_on_node(self, instance: str) -> str:
        """Control groups, mounts and processes of its sandboxes."""
        named = f"sandlot-{instance}"
        groups = f"find /groups -type d -name '{named}*'"
        return self.on_node(f"{groups}; grep -ls '{named}' /proc/[0-9]*/mountinfo /proc/[0-9]*/cgroup; true").strip()


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("a pod: KUBECONFIG is not set")
    pod = Pod(tmp_path)
    try:
        pod.apply()
        pod.forward()
        pod.look_from(pod.status()["items"][0]["spec"]["nodeName"])
        yield pod
        pod.end()
        pod.on_node(f"rm -r /states/{pod.namespace}")
    finally:
        pod.close()
        subprocess.run(["kubectl", "delete", "namespace", pod.namespace, "--timeout=300s"], check=True, capture_output=True)


KILL_SERVER = 'kill -9 "$(cut -d " " -f 1 /var/lib/sandlot/lock)"'


def test_a_trajectory_in_a_pod_outlives_its_server_and_its_pod_and_leaves_nothing_on_the_node(pod: Pod) -> None:
    uid = pod.status()["items"][0]["metadata"]["uid"]
    instance = pod.on_node(f"cat /states/{pod.namespace}/instance").strip()

    async def play() -> None:
        tls = {"ca_file": str(pod.folder / "ours.pem")}
        async with sandlot.connect(f"grpcs://127.0.0.1:{pod.port}", pod.token, tls=tls, patience=STARTS_S) as client, client.trajectory(TASK, limits={"memory_mib": 128}) as t:
            assert (await t.bash("echo kept > /tmp/x; sleep 1000 & echo $!")).exit_code == 0
            assert t.limits.enforced["memory_mib"] == "HARD"
            assert (await t.bash("python3 -c 'bytearray(300 << 20)'")).exit_code == 137
            pod.kubectl("exec", "sandlot-0", "--", "sh", "-c", KILL_SERVER)
            pod.forward(restarts=1)
            assert (await t.bash("cat /tmp/x; pgrep -c sleep")).text == "kept\n1\n"
            pod.kubectl("delete", "pod", "sandlot-0")
            pod.forward(not_uid=uid)
            assert (await t.bash("cat /tmp/x; pgrep -c sleep")).text == "kept\n1\n"
            assert (await t.submit()).outcome == "EMPTY_PATCH"

    asyncio.run(play())
    pod.end()
    assert pod.left_on_node(instance) == ""
