"""A scripted agent that works as a model does: it looks around with `bash` and edits with `str_replace_editor`. What to do it reads off a patch; it never applies one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

import sandlot

TOOL = "str_replace_editor"
ROWS_SHOWN = 40


@dataclass(frozen=True)
class Hunk:
    """`first`: the line of the old file at which it begins, from 1. Lines keep their ends."""

    first: int
    lines: list[str]

    @property
    def old(self) -> list[str]:
        return [line[1:] for line in self.lines if line[0] in " -"]

    @property
    def new(self) -> list[str]:
        return [line[1:] for line in self.lines if line[0] in " +"]

    @property
    def inserted(self) -> tuple[int, list[str]] | None:
        """When all it does is to put lines in one place: after which line, and which lines."""
        signs = "".join(line[0] for line in self.lines)
        match = re.fullmatch(r"( *)(\++)( *)", signs)
        if not match or not all(line.endswith("\n") for line in self.lines):
            return None
        return self.first - 1 + len(match[1]), [line[1:] for line in self.lines if line[0] == "+"]


@dataclass
class Change:
    """What a patch does to one file; None = there is none before, or after."""

    before: str | None
    after: str | None
    hunks: list[Hunk] = field(default_factory=list)


def changes(patch: str) -> Iterator[Change]:
    for part in re.split(r"^(?=diff --git )", patch, flags=re.M):
        names = re.match(r"diff --git a/(.*?) b/(.*)\n", part)
        if names is None:
            continue
        head = part.split("\n@@ ", 1)[0]
        assert "\nGIT binary patch" not in head, "this agent edits text"
        change = Change(None if "\nnew file mode" in head else names[1], None if "\ndeleted file mode" in head else names[2])
        for piece in re.split(r"^(?=@@ )", part, flags=re.M)[1:]:
            change.hunks.append(hunk(piece))
        yield change


def hunk(piece: str) -> Hunk:
    heading, *body = piece.split("\n")
    place = re.match(r"@@ -(\d+)(?:,(\d+))? ", heading)
    assert place, heading
    lines: list[str] = []
    for line in body:
        if line.startswith("\\"):
            lines[-1] = lines[-1].removesuffix("\n")
        elif line[:1] in ("+", "-", " "):
            lines.append(line + "\n")
    # Where there are no old lines, the number is that of the line before.
    return Hunk(int(place[1]) + (place[2] == "0"), lines)


async def play(t: sandlot.Trajectory, patch: str) -> sandlot.Grade:
    """Does by hand what the patch does, and submits."""
    await look_around(t, patch)
    for change in changes(patch):
        await edit(t, change)
    seen = await t.bash("git status --short && git diff --stat")
    assert seen.exit_code == 0 and seen.text.strip(), seen.text
    done = await t.execute("submit_solution", {})
    assert done.kind == "DONE" and done.terminated and done.grade, done.text
    return done.grade


async def look_around(t: sandlot.Trajectory, patch: str) -> None:
    for command in ("git log --oneline | head -3", "ls -la", "cat README* | head -20", "git ls-files | wc -l"):
        assert (await t.bash(command)).kind == "OK"
    assert (await t.execute(TOOL, {"command": "view", "path": t.summary.workdir})).kind == "OK"
    for word in sorted(set(re.findall(r"^@@ .*(?:def|class) (\w+)", patch, flags=re.M)))[:3]:
        assert (await t.bash(f"git grep -nw {word} | head -20")).exit_code == 0


async def edit(t: sandlot.Trajectory, change: Change) -> None:
    before, after = (name and f"{t.summary.workdir}/{name}" for name in (change.before, change.after))
    if after is None:
        assert before and (await t.bash(f"rm {shlex.quote(before)}")).exit_code == 0
    elif before is None:
        await act(t, command="create", path=after, file_text="".join(line for one in change.hunks for line in one.new))
    else:
        if before != after:
            moved = f"mkdir -p $(dirname {shlex.quote(after)}) && git mv {shlex.quote(before)} {shlex.quote(after)}"
            assert (await t.bash(moved)).exit_code == 0
        for one in reversed(change.hunks):  # from below, so that the numbers of those above hold
            await replace(t, after, one)


async def replace(t: sandlot.Trajectory, path: str, hunk: Hunk) -> None:
    """A place that is not unique is told with more of the lines around it, as the refusal asks for."""
    if hunk.inserted:
        line, lines = hunk.inserted
        await act(t, command="insert", path=path, insert_line=line, new_str="".join(lines).removesuffix("\n"))
        return
    around = 0
    while True:
        above, below = await neighbours(t, path, hunk, around)
        old, new = ("".join(above + lines + below) for lines in (hunk.old, hunk.new))
        result = await t.execute(TOOL, {"command": "str_replace", "path": path, "old_str": old, "new_str": new})
        if result.kind == "OK":
            return
        assert "Multiple occurrences" in result.text and around < ROWS_SHOWN, result.text
        around += 10


async def neighbours(t: sandlot.Trajectory, path: str, hunk: Hunk, around: int) -> tuple[list[str], list[str]]:
    """Lines before and after, as the editor shows them."""
    first, last = max(1, hunk.first - around), hunk.first + len(hunk.old) - 1
    total = int((await t.bash(f"wc -l < {shlex.quote(path)}")).text)
    shown = await act(t, command="view", path=path, view_range=f"[{first}, {min(max(last, first) + around, total)}]")
    rows = [row.split("\t", 1)[1] + "\n" for row in shown.split("\n") if re.match(r" *\d+\t", row)]
    return rows[: hunk.first - first], rows[last - first + 1 :]


async def act(t: sandlot.Trajectory, **arguments: str | int) -> str:
    result = await t.execute(TOOL, arguments)
    assert result.kind == "OK", result.text
    return result.text
