"""Commands that attack the sandbox they are in, the host, or other sandboxes. In isolated sandboxes with small limits only."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sandlot
from raw import TASK
from server import Server, control_groups

SMALL = {"memory_mib": 256, "pids": 64, "disk_mib": 64, "command_ms": 5000}

# What the policy does, a step after the other, before it submits.
ATTACKS = {
    "forks without end": ["bomb() { bomb | bomb & }; bomb; sleep 1", "python3 -c 'import os\nwhile True:\n  os.fork()'", "echo $(echo still here)"],
    "leaves forks behind": ["(python3 -c 'import os,time\nfor n in range(1000):\n  try: os.fork()\n  except OSError: time.sleep(3600)' >/dev/null 2>&1 &) ; sleep 1", "echo hm"],
    "eats memory": ["head -c 2G /dev/zero | tail -n 1 | wc -c", "python3 -c 'a = []\nwhile True: a.append(bytearray(1 << 20))'", "cat /dev/zero > /dev/shm/x; cat /dev/zero > /tmp/x", "echo $(echo still here)"],
    "fills the disk": ["head -c 1G /dev/zero > /testbed/full; df -h /testbed | tail -1", "for i in $(seq 20000); do : > /tmp/$i || break; done 2>/dev/null", "head -c 1G /dev/zero > /var/tmp/full; echo done"],
    "kills all it sees": ["kill -9 -1", "kill -9 1; kill -KILL -1; kill -TERM 1; kill -STOP 1; pkill -9 .", "echo still here"],
    "kills in the background for ever": ["(trap '' TERM; while :; do for p in /proc/[0-9]*; do p=${p#/proc/}; [ $p = $BASHPID ] || kill -9 $p; done; done 2>/dev/null &) ; echo", "sleep 1", "echo $(echo here)"],
    "removes everything": ["rm -rf / --no-preserve-root 2>/dev/null; echo gone", "ls", "echo x"],
    "replaces git": ["rm -rf .git; mkfifo .git", "git status", "rm .git; ln -s /proc/1/root .git; ls -la"],
    "links the tree away": ["cd /; rm -rf /testbed; ln -s / /testbed; ls /testbed/", "pwd"],
    "makes pipes of all files": ["for f in $(git ls-files; find .git -type f); do rm -f $f; mkfifo $f; done; ls -la", "echo x"],
    "makes links of all files": ["for f in $(git ls-files) .git/index .git/HEAD .git/config .gitignore .gitattributes; do rm -rf $f; ln -s /dev/zero $f; done", "for f in .git/info/exclude; do rm -f $f; ln -s /proc/1/mem $f; done"],
    "makes pipes of /tmp": ["rm -rf /tmp; mkfifo /tmp", "yes | head -c 3000000; echo", "rm -f /tmp; ln -s /dev/full /tmp", "yes | head -c 3000000; echo"],
    "nests repositories": ["git init -q a; git init -q a/b; echo x > a/b/c; git -C a/b add . ; cp -r .git spans/.git; echo x > spans/.git/x; mv .git g; mkdir .git; echo 'gitdir: ../../../../etc' > .git", "git status"],
    "poisons git": ["git config core.fsmonitor 'touch /pwned; false'; git config core.hooksPath /tmp; git config core.pager 'sh -c x'; git config core.worktree /; git config filter.x.clean 'touch /pwned'; echo '* filter=x' > .gitattributes", "printf '#!/bin/sh\\ntouch /pwned' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit; git update-index --assume-unchanged README.md; echo more >> README.md"],
    "mounts and unmounts": ["mount -t tmpfs x /testbed; mount --bind / /mnt; umount -a; umount -l /testbed /proc /; mknod /tmp/sda b 8 0; unshare -Urm true; chroot /proc/1/root ls", "ls /testbed > /dev/null && echo x"],
    "goes deep": ["python3 -c 'import os\nfor n in range(1000):\n  os.mkdir(\"d\" * 200); os.chdir(\"d\" * 200)'", "echo x"],
    "changes the modes": ["chmod -R 000 /testbed; chmod 000 / /tmp /usr /etc; chown -R 65534 /testbed", "ls"],
    "makes odd names": ["for n in -rf '$(id)' $'a\\nb' $'\\377' '\"' \"'\" '.git ' GIT~1 .gitmodules 'a b'; do echo x > \"$n\"; done; mkdir -p $'sub\\n/x'; echo > $'sub\\n/x/y'", "git add -A"],
}


@asynccontextmanager
async def neighbour(client: sandlot.Client) -> AsyncIterator[list[float]]:
    """A trajectory that keeps working; how long each of its steps took, in milliseconds. It fails when an answer is wrong."""
    took: list[float] = []
    over = asyncio.Event()

    async def work() -> None:
        async with client.trajectory(TASK, limits={"max_steps": 10_000}) as t:
            while not over.is_set():
                begun = time.monotonic()
                result = await t.bash(f"echo {len(took)}; cat README.md | wc -l")
                took.append((time.monotonic() - begun) * 1000)
                assert result.text.split()[0] == str(len(took) - 1) and result.exit_code == 0
                await asyncio.sleep(0.05)

    task = asyncio.create_task(work())
    try:
        yield took
    finally:
        over.set()
        await task


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_valid_0_is_all_that_comes_of_a_policy_that(shared: Server, isolated: None, attack: str) -> None:
    async def play() -> None:
        async with sandlot.connect(shared.address) as client, neighbour(client) as took:
            async with client.trajectory(TASK, limits=SMALL) as t:
                for command in ATTACKS[attack]:
                    result = await t.bash(command)
                    assert result.kind in ("OK", "TIMED_OUT", "TOOL_ERROR"), result
                looked = await t.grade()
                grade = await t.submit()
                assert (grade.reward, grade.validity) == (0.0, "VALID"), f"{grade.outcome}: {grade.reason}"
                assert (looked.validity, looked.outcome) == ("VALID", grade.outcome)
                name = t.id
            assert await as_quick_as_alone(took), "a neighbour is not slowed down"
        assert gone(name)

    asyncio.run(play())


async def as_quick_as_alone(took: list[float]) -> bool:
    """Whether a neighbour's steps took no longer than half a second, or than ten times what they take now that it is alone: on a slow machine they do."""
    during = list(took)
    if statistics.median(during) < 500:
        return True
    async with asyncio.timeout(300):
        while len(took) < len(during) + 10:
            await asyncio.sleep(0.1)
    return statistics.median(during) < 10 * statistics.median(took[len(during) + 1 :])


def gone(name: str) -> bool:
    """No process, control group or folder of a sandbox is left."""
    Server.wait_until(lambda: not control_groups(name), f"the control groups of {name} to go")
    Server.wait_until(lambda: not any(name in read(Path(f"/proc/{pid}/cgroup")) for pid in os.listdir("/proc") if pid.isdigit()), f"the processes of {name} to go")
    return True


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_nothing_of_the_host_can_be_reached(shared: Server, isolated: None, tmp_path: Path) -> None:
    """Each probe prints LEAK when it gets through."""
    secret = f"secret-{os.getpid()}"
    (shared.state / "secret").write_text(secret)
    process = shared.process
    assert process
    host_namespaces = {os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "mnt", "net", "ipc", "uts")}
    probes = [
        f"find / -xdev -name secret 2>/dev/null | xargs -r grep -l {secret} | grep . && echo LEAK state",
        f"ls {shared.state} {shared.folder} {Path(__file__).parent} /root/.pyenv /work 2>/dev/null | grep . && echo LEAK folder",
        "cat /proc/1/environ | tr '\\0' '\\n' | grep -i 'token\\|sandlot_\\|secret' && echo LEAK environment of 1",
        "ls -l /proc/1/fd 2>/dev/null | grep -e '->' && ls /proc/1/fd/*/ && echo LEAK descriptor",
        "ls -A /proc/1/root/ | grep -x home && ls -A /proc/1/root/home | grep . && echo LEAK home",
        f"ls -d /proc/{process.pid} 2>/dev/null && cat /proc/{process.pid}/cmdline | tr '\\0' ' ' | grep serve && echo LEAK process",
        "test $(ls -d /proc/[0-9]* | wc -l) -gt 15 && echo LEAK processes",
        f"for n in /proc/self/ns/*; do readlink $n; done | grep -F '{chr(10).join(sorted(host_namespaces))}' && echo LEAK namespace",
        "find / -type s 2>/dev/null | grep . && echo LEAK socket",
        "grep -v 'Num\\| /proc/self/fd/3/sock$' /proc/net/unix | grep / && echo LEAK unix socket",
        "python3 -c \"import glob, socket\nfor p in glob.glob('/proc/*/fd/*'):\n  try: socket.socket(socket.AF_UNIX).connect(p + '/sock'); print('LEAK control socket')\n  except OSError: pass\"",
        "python3 -c \"import socket; socket.create_connection(('127.0.0.1', PORT), 1); print('LEAK port')\"".replace("PORT", str(shared.port)),
        "python3 -c \"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('8.8.8.8', 53)); s.send(b'x'); print('LEAK network')\"",
        "grep -v '^ *lo:\\|^Inter\\|^ face' /proc/net/dev && echo LEAK interface",
        "echo c > /proc/sysrq-trigger && echo LEAK sysrq",
        "echo x > /proc/sys/kernel/core_pattern && echo LEAK core_pattern",
        "echo 1 > /proc/sys/vm/drop_caches && echo LEAK sysctl",
        "find /sys/fs/cgroup -name 'memory.*limit*' -writable 2>/dev/null | head -1 | grep . && echo 1000000000000 > $(find /sys/fs/cgroup -name memory.limit_in_bytes | head -1) && echo LEAK cgroup",
        "test -w /usr/bin/env && : >> /usr/bin/env && echo LEAK writable /usr",
        "cat /etc/shadow 2>/dev/null | grep -v '[*!x]' | grep : && echo LEAK shadow",
        "ls /dev | grep '^sd\\|^vd\\|^nvme\\|^loop\\|^mem$\\|^kmsg$\\|^fuse$' && echo LEAK device",
        "dmesg 2>/dev/null | grep -q . && echo LEAK dmesg",
        "grep -i 'capeff' /proc/self/status | grep -i '3fffffffff\\|1ffffffffff' && echo LEAK capabilities",
        "grep -q 'NoNewPrivs:.1' /proc/self/status || echo LEAK no_new_privs",
        "grep -q 'Seccomp:.2' /proc/self/status || echo LEAK seccomp",
    ]

    async def play() -> None:
        async with sandlot.connect(shared.address) as client, client.trajectory(TASK, limits={"memory_mib": 256, "pids": 64}) as t:
            async with client.trajectory(TASK) as other:
                await other.bash("echo of another > /tmp/other-sandbox; (exec -a other-sandbox sleep 1000 &)")
                probes.append("find / -xdev -name other-sandbox 2>/dev/null | grep . && echo LEAK other sandbox")
                probes.append("cat /proc/*/cmdline | tr '\\0' ' ' | grep 'other-sandbo[x] ' && echo LEAK process of another")
                for probe in probes:
                    result = await t.bash(probe, timeout_ms=120_000)
                    assert "LEAK " not in result.text, f"{probe}: {result.text[:500]}"

    asyncio.run(play())


def test_four_pipes_in_place_of_what_the_host_reads_hold_nobody_up(shared: Server, isolated: None) -> None:
    """libuv has four threads: four files that never open would hang every file call of the server."""

    async def play() -> None:
        async with sandlot.connect(shared.address) as client:
            async with client.trajectory(TASK, limits={**SMALL, "pids": 100}) as t:
                await t.bash("for n in 1 2 3 4 5 6; do mkfifo /tmp/p$n; done; mkdir -p /tmp/x; for f in README.md setup.py .gitignore; do rm -f $f; mkfifo $f; done")
                views = [asyncio.create_task(t.execute("str_replace_editor", {"command": "view", "path": f"/tmp/p{n}"})) for n in range(1, 7)]
                async with client.trajectory(TASK) as other:
                    assert (await other.bash("echo well")).text == "well\n"
                    assert (await other.submit()).validity == "VALID"
                assert {view.kind for view in await asyncio.gather(*views)} == {"TOOL_ERROR"}
                assert (await t.submit()).validity == "VALID"

    asyncio.run(play())


def test_attacks_all_at_once_leave_the_server_as_it_was(own: Server, isolated: None) -> None:
    """Leftovers are looked for when the server's fixture ends."""
    own.start()

    async def attack(client: sandlot.Client, commands: list[str]) -> str:
        async with client.trajectory(TASK, limits={**SMALL, "command_ms": 3000}) as t:
            for command in commands:
                await t.bash(command)
            return (await t.submit()).validity

    async def play() -> None:
        async with sandlot.connect(own.address) as client, neighbour(client):
            validities = await asyncio.gather(*(attack(client, commands) for commands in ATTACKS.values()))
            assert set(validities) == {"VALID"}

    asyncio.run(play())
