"""What the demo's policies type into the editor is what the patch says, whatever is in the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from server import ROOT

sys.path.insert(0, str(ROOT / "examples"))

from policies import Answers, editor_calls

ODD = "form\x0cfeed vertical\x0btab next\x85line separators\u2028\u2029 unit\x1c\x1d\x1e return\r\n"
CASES = {
    "odd line ends": (f"first\n{ODD}last\n", f"first\n{ODD}between{ODD}last\n"),
    "nothing but odd line ends": (f"{ODD}a\n{ODD}", f"{ODD}b\n{ODD}"),
    "no end of the last line": ("a\nb", "a\nc"),
    "an end of the last line that is new": ("a\nb", "a\nb\n"),
    "a new file": (None, f"a{ODD}b\n"),
    "a new file without an end": (None, "a\nb"),
    "two places": ("".join(f"{n}\n" for n in range(30)), "".join(f"{n}{'x' if n in (2, 27) else ''}\n" for n in range(30))),
}


@pytest.mark.parametrize(("before", "after"), CASES.values(), ids=CASES.keys())
def test_a_patch_becomes_edits_that_do_the_same(before: str | None, after: str, tmp_path: Path) -> None:
    patch = patch_of(tmp_path, before, after)
    calls = list(editor_calls(Answers.read(patch.parent).gold, "/w"))
    assert {call["path"] for call in calls} == {"/w/f.txt"}
    text = before
    for call in calls:
        if call["command"] == "create":
            text = call["file_text"]
        else:
            assert text is not None
            assert text.count(call["old_str"]) == 1
            text = text.replace(call["old_str"], call["new_str"])
    assert text == after


def patch_of(folder: Path, before: str | None, after: str) -> Path:
    """`gold.patch`, alone in a folder."""

    def git(*arguments: str) -> bytes:
        return subprocess.run(["git", "-c", "core.autocrlf=false", *arguments], cwd=folder, check=True, capture_output=True).stdout

    git("init", "-q")
    if before is not None:
        (folder / "f.txt").write_bytes(before.encode())
        git("add", "f.txt")
    (folder / "f.txt").write_bytes(after.encode())
    git("add", "-N", "f.txt")
    answers = folder / "answers"
    answers.mkdir()
    (answers / "gold.patch").write_bytes(git("diff", "--text"))
    return answers / "gold.patch"
