"""
Runs inside of a sandbox: looks for texts in everything that a policy can see there. The texts come in base64, so that the
search does not find itself; findings are named by number. Arguments: a JSON list of texts in base64, and how: "once", or
"files" to leave out the objects of git repositories, or "watch" to look at /proc and the upper folders again and again until
/tmp/stop-watching is there; when each whole round began and ended is then in /tmp/watch-rounds.
"""

import base64
import json
import os
import subprocess
import sys
import time

NEEDLES = [base64.b64decode(text) for text in json.loads(sys.argv[1])]
SYSTEM = {"/proc", "/sys", "/dev", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}
PER_PROCESS = ["environ", "cmdline", "comm", "mountinfo", "mounts", "cgroup", "maps", "status"]
found = set()
looked = {"files": 0, "bytes": 0, "objects": 0}


def look(where, data):
    looked["bytes"] += len(data)
    for number, needle in enumerate(NEEDLES):
        if needle in data:
            found.add((number, where))


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read(1 << 26)
    except OSError:
        return b""


def processes():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid():
            continue
        for name in PER_PROCESS:
            look(f"/proc/{pid}/{name}", read(f"/proc/{pid}/{name}"))
        for folder in ("fd", "cwd", "exe", "root"):
            try:
                names = os.listdir(f"/proc/{pid}/fd") if folder == "fd" else [""]
                for name in names:
                    look(f"/proc/{pid}/{folder}/{name}", os.fsencode(os.readlink(f"/proc/{pid}/{folder}/{name}".rstrip("/"))))
            except OSError:
                pass
    for name in ("mounts", "net/unix", "keys", "sys/kernel/hostname", "cmdline"):
        look(name, read(f"/proc/{name}"))


def files(top, depth=99):
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in SYSTEM]
        if folder.rstrip("/").count("/") - top.rstrip("/").count("/") >= depth:
            folders[:] = []
        for name in names + folders:
            path = os.path.join(folder, name)
            look(path, os.fsencode(path))
            if os.path.isfile(path) and "/" + os.path.realpath(path).split("/")[1] not in SYSTEM:
                looked["files"] += 1
                look(path, read(path))


def git_objects():
    for folder, folders, _ in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in SYSTEM]
        if "objects" in folders and os.path.isfile(os.path.join(folder, "HEAD")):
            out = subprocess.run(["git", "--git-dir", folder, "cat-file", "--batch-all-objects", "--batch", "--unordered"], capture_output=True).stdout
            looked["objects"] += out.count(b" blob ")
            look(f"objects of {folder}", out)
            for argv in (["log", "--all", "--format=%B"], ["fsck", "--unreachable", "--no-progress"], ["for-each-ref"], ["config", "-l"]):
                look(" ".join(argv), subprocess.run(["git", "--git-dir", folder, *argv], capture_output=True).stdout)


if sys.argv[2] in ("once", "files"):
    processes()
    files("/")
    if sys.argv[2] == "once":
        git_objects()
else:
    rounds = open("/tmp/watch-rounds", "w", buffering=1)
    open("/tmp/watching", "w").close()
    while not os.path.exists("/tmp/stop-watching"):
        begun = time.time()
        processes()
        for top in ("/", "/tmp", "/testbed", "/var/tmp", "/dev/shm"):
            files(top, depth=1)
        rounds.write(f"{begun} {time.time()}\n")
        time.sleep(0.01)
print(json.dumps({"found": sorted(found), **looked}))
