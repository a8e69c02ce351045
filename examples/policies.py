"""
Scripted policies of different quality, in place of a model.

The good ones know the answer: the demo reads `gold.patch` from the checkout, on the client's side, and types it in with
the tools. Nothing of it comes from the server, which never gives it out; nothing of it enters a sandbox but as edits.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import sandlot


class Hand(Protocol):
    """What a policy has of its trajectory."""

    workdir: str

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> sandlot.Result: ...

    async def bash(self, command: str, timeout_ms: int = 0) -> sandlot.Result: ...

    async def turn(self, *calls: tuple[str, Mapping[str, Any]]) -> sandlot.Turn: ...


@dataclass(frozen=True)
class Answers:
    """What lies in the folder of a bundled task."""

    gold: str
    wrong: list[str]

    @classmethod
    def read(cls, folder: Path) -> Answers:
        wrong = [text_of(path) for path in sorted(folder.glob("wrong-*.patch"))]
        return cls(text_of(folder / "gold.patch"), wrong)


@dataclass(frozen=True)
class Policy:
    """`expected` is the reward it must get. One that does not submit is graded as it stands when its budget is over."""

    name: str
    play: Callable[[Hand, Answers], Awaitable[None]]
    expected: float
    submits: bool = True
    limits: dict[str, int] = field(default_factory=dict)


async def looks_then_edits(hand: Hand, answers: Answers) -> None:
    await explore(hand)
    for call in editor_calls(answers.gold, hand.workdir):
        result = await hand.call("str_replace_editor", call)
        if result.kind != "OK":  # a place that is not unique: all of it by patch instead
            await hand.bash("git checkout -q . && git clean -qfd")
            await apply(hand, answers.gold)
            break
    await hand.bash("git diff --stat")


async def patches_in_turns(hand: Hand, answers: Answers) -> None:
    """As a chat model plays: several calls in one assistant message."""
    await hand.turn(("bash", {"command": "git log --oneline | head -5"}), ("bash", {"command": "git ls-files"}))
    await hand.turn(("bash", {"command": apply_command(answers.gold)}))
    await hand.turn(("bash", {"command": "git status --short"}))


async def errs_then_corrects(hand: Hand, answers: Answers) -> None:
    await explore(hand)
    await apply(hand, answers.wrong[0])
    await hand.bash("git diff | head -40")
    await hand.bash("git checkout -q . && git clean -qfd")
    await apply(hand, answers.gold)


async def is_tempted(hand: Hand, answers: Answers) -> None:
    await explore(hand)
    await apply(hand, answers.wrong[0])


async def is_tempted_otherwise(hand: Hand, answers: Answers) -> None:
    await apply(hand, answers.wrong[-1])
    await hand.bash("git diff --stat")


async def talks_for_ever(hand: Hand, answers: Answers) -> None:
    for number in range(100):
        result = await hand.bash(f"echo thinking {number}; git grep -c . | head -3")
        if result.truncated:
            return


async def gives_up(hand: Hand, answers: Answers) -> None:
    await explore(hand)


async def exhausts_everything(hand: Hand, answers: Answers) -> None:
    """Only ever in an isolated sandbox with limits."""
    await hand.bash("bomb() { bomb | bomb & }; bomb; sleep 1", 2_000)
    await hand.bash("head -c 2G /dev/zero | tail -n 1 | wc -c", 5_000)
    await hand.bash("dd if=/dev/zero of=/tmp/fill bs=1M count=400 2>&1 | tail -1; rm -f /tmp/fill", 10_000)
    await hand.bash("kill -9 -1")
    await hand.bash("echo still here")


async def burns_the_house(hand: Hand, answers: Answers) -> None:
    """Only ever in an isolated sandbox."""
    await hand.bash('rm -rf "$PWD" / --no-preserve-root 2>/dev/null; echo gone', 4_000)
    await hand.bash("ls")


SMALL = {"memory_mib": 256, "pids": 64, "disk_mib": 256}

HONEST = [
    Policy("edits", looks_then_edits, 1.0),
    Policy("turns", patches_in_turns, 1.0),
    Policy("corrects", errs_then_corrects, 1.0),
    Policy("tempted", is_tempted, 0.0),
    Policy("tempted-2", is_tempted_otherwise, 0.0),
    Policy("no-submit", talks_for_ever, 0.0, submits=False, limits={"max_steps": 5}),
]
HOSTILE = [
    Policy("exhausts", exhausts_everything, 0.0, limits=SMALL),
    Policy("rm-rf", burns_the_house, 0.0, limits=SMALL),
]
HARMLESS = [Policy("gives-up", gives_up, 0.0), Policy("gives-up-2", gives_up, 0.0)]


async def explore(hand: Hand) -> None:
    await hand.bash("git log --oneline | head -5; ls")
    await hand.bash("cat README* | head -30")
    await hand.bash("git ls-files | xargs wc -l | tail -20")


async def apply(hand: Hand, patch: str) -> None:
    result = await hand.bash(apply_command(patch))
    if result.exit_code != 0:
        raise RuntimeError(f"the patch does not apply: {result.text}")


def apply_command(patch: str) -> str:
    return f"printf %s {shlex.quote(patch)} | git apply -"


def editor_calls(patch: str, workdir: str) -> Iterator[dict[str, str]]:
    """A unified diff as calls of `str_replace_editor`, one a hunk."""
    for part in re.split(r"^(?=diff --git )", patch, flags=re.M):
        name = re.search(r"^\+\+\+ b/(.*)$", part, flags=re.M)
        if name is None:
            continue
        path = f"{workdir}/{name[1]}"
        new = "\n--- /dev/null" in part
        for hunk in re.split(r"^@@ .*\n", part, flags=re.M)[1:]:
            before, after = sides(hunk)
            if new:
                yield {"command": "create", "path": path, "file_text": after}
            else:
                yield {"command": "str_replace", "path": path, "old_str": before, "new_str": after}


def sides(hunk: str) -> tuple[str, str]:
    """The text before and after. A line ends at a line feed and nowhere else: Python's `splitlines` knows ten more ends."""
    lines: list[str] = []
    for line in hunk.removesuffix("\n").split("\n"):
        if line.startswith("\\"):  # "No newline at end of file", of the line before
            lines[-1] = lines[-1].removesuffix("\n")
        else:
            lines.append(line + "\n")
    before = "".join(line[1:] for line in lines if not line.startswith("+"))
    return before, "".join(line[1:] for line in lines if not line.startswith("-"))


def text_of(path: Path) -> str:
    """As it is: `read_text` would make one line end of another."""
    return path.read_bytes().decode()
