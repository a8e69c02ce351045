"""The agent that plays real rows by hand makes of a file what the patch says, whatever the patch is like."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import patch_agent
import sandlot
from bundled import commit, git, task_file
from server import Server

TWICE = "def a():\n    x = 1\n    return x\n\n\n" * 2


def test_the_agent_edits_by_hand_what_a_patch_says(own: Server) -> None:
    files = {"twice.py": TWICE + "end = 1", "insert.py": "".join(f"{number}\n" for number in range(60)), "gone.py": "bye\n", "old.py": "one\ntwo\nthree\n", "odd.txt": "a\x0cb\r\nc\u2028d\r\n"}
    repository = own.folder / "repository"
    commit(repository, {**files, "sums.py": "def double(x):\n    return 2 * x + 1\n"})
    patch = change_of(repository)
    own.tasks.append(task_file(own.folder, "many-kinds"))
    own.start()

    async def play() -> tuple[str, str]:
        async with sandlot.connect(own.address) as client, client.trajectory("many-kinds") as t:
            grade = await patch_agent.play(t, patch)
            return grade.patch.decode(), grade.outcome

    submitted, outcome = asyncio.run(play())
    assert outcome == "RESOLVED"
    assert tree_after(repository, submitted) == tree_after(repository, patch)


def change_of(repository: Path) -> str:
    """A patch with something of everything; the repository stays as it was."""

    def write(name: str, text: str) -> None:
        (repository / name).write_bytes(text.encode())

    write("twice.py", TWICE[: len(TWICE) // 2] + "def a():\n    x = 2\n    return x\n\n\nend = 2\n")
    write("insert.py", "first\n" + "".join(f"{number}\n" + ("more\nand more\n" if number == 40 else "") for number in range(60)))
    write("sums.py", "def double(x):\n    return 2 * x\n")
    write("odd.txt", "a\x0cb\r\nC\u2028d\r\n")
    write("new.py", "brand\n\nnew")
    (repository / "gone.py").unlink()
    (repository / "folder").mkdir()
    (repository / "old.py").rename(repository / "folder/moved.py")
    write("folder/moved.py", "one\ntwo\nthree\nfour\n")
    git(repository, "add", "--all")
    patch = subprocess.run(["git", "-C", str(repository), "diff", "--cached", "-M", "HEAD"], check=True, capture_output=True).stdout.decode()
    git(repository, "reset", "-q", "--hard")
    return patch


def tree_after(repository: Path, patch: str) -> str:
    subprocess.run(["git", "-C", str(repository), "apply", "--index", "-"], check=True, input=patch.encode())
    tree = git(repository, "write-tree")
    git(repository, "reset", "-q", "--hard")
    return tree
