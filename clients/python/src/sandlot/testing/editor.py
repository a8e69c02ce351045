"""`str_replace_editor` over files in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .shell import Shell

COMMANDS = ("view", "create", "str_replace", "insert", "undo_edit")


class Refused(Exception):
    """The model's mistake, in words for it: nothing was changed."""


class Editor:
    """Keeps what it changed, to take it back."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._before: list[tuple[str, bytes | None]] = []

    def run(self, arguments: Mapping[str, Any]) -> str:
        """What the model reads. Raises `Refused`."""
        command, given = arguments.get("command"), arguments.get("path")
        if command not in COMMANDS:
            raise Refused(f"Parameter `command`: expected one of {', '.join(COMMANDS)}, got {command!r:.100}")
        if not isinstance(given, str) or not given:
            raise Refused("Parameter `path` is empty.")
        work: Callable[[str, Mapping[str, Any]], str] = getattr(self, f"_{command}")
        return work(self._shell.at(given), arguments)

    def _view(self, path: str, arguments: Mapping[str, Any]) -> str:
        if self._shell.is_folder(path):
            heading = f"Here's the files and directories up to 2 levels deep in {path}, excluding hidden items:"
            names = [line.rstrip("/") for line in self._shell.listing(path).splitlines() if not line.startswith(".")]
            return "\n".join([heading, path, *(f"{path.rstrip('/')}/{name}" for name in names), ""])
        lines = self._text(path).split("\n")
        first, last = _range(arguments.get("view_range"), len(lines))
        return _numbered(lines[first - 1 : last], first, path)

    def _create(self, path: str, arguments: Mapping[str, Any]) -> str:
        text = _given(arguments, "file_text", "create")
        if path in self._shell.files or self._shell.is_folder(path):
            raise Refused(f"File already exists at: {path}. Cannot overwrite files using command `create`.")
        self._save(path, text)
        return f"File created successfully at: {path}\n"

    def _str_replace(self, path: str, arguments: Mapping[str, Any]) -> str:
        old, new = _given(arguments, "old_str", "str_replace"), str(arguments.get("new_str") or "")
        text = self._text(path)
        count = text.count(old) if old else 0
        if count == 0:
            raise Refused(f"No replacement was performed, old_str `{old}` did not appear verbatim in {path}.")
        if count > 1:
            raise Refused(f"No replacement was performed. Multiple occurrences of old_str `{old}` in {path}.")
        self._save(path, text.replace(old, new))
        return self._edited(path, text[: text.index(old)].count("\n") + 1, new.count("\n"))

    def _insert(self, path: str, arguments: Mapping[str, Any]) -> str:
        at, new = arguments.get("insert_line"), _given(arguments, "new_str", "insert")
        lines = self._text(path).split("\n")
        if not isinstance(at, int) or isinstance(at, bool):
            raise Refused("Parameter `insert_line` is required for command: insert")
        if not 0 <= at <= len(lines):
            raise Refused(f"Invalid `insert_line` parameter: {at}. It should be within [0, {len(lines)}]")
        self._save(path, "\n".join([*lines[:at], *new.split("\n"), *lines[at:]]))
        return self._edited(path, at + 1, new.count("\n"))

    def _undo_edit(self, path: str, arguments: Mapping[str, Any]) -> str:
        edits = [number for number, (edited, _) in enumerate(self._before) if edited == path]
        if not edits:
            raise Refused(f"No edit history found for {path}.")
        _, before = self._before.pop(edits[-1])
        if before is None:
            self._shell.files.pop(path, None)
            return f"Last edit to {path} undone successfully: the file was removed again.\n"
        self._shell.files[path] = before
        return f"Last edit to {path} undone successfully. {_numbered(before.decode().split(chr(10)), 1, path)}"

    def _text(self, path: str) -> str:
        if self._shell.is_folder(path):
            raise Refused(f"The path {path} is a directory and only the `view` command can be used on directories")
        if path not in self._shell.files:
            raise Refused(f"The path {path} does not exist. Please provide a valid path.")
        try:
            return self._shell.files[path].decode()
        except UnicodeDecodeError:
            raise Refused(f"The file {path} is no UTF-8 text: use bash for it.") from None

    def _save(self, path: str, text: str) -> None:
        self._before.append((path, self._shell.files.get(path)))
        self._shell.files[path] = text.encode()

    def _edited(self, path: str, line: int, more: int) -> str:
        first = max(1, line - 4)
        shown = self._text(path).split("\n")[first - 1 : line + 4 + more]
        return f"The file {path} has been edited. {_numbered(shown, first, f'a snippet of {path}')}"


def _given(arguments: Mapping[str, Any], name: str, command: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str):
        raise Refused(f"Parameter `{name}` is required for command: {command}")
    return value


def _range(given: Any, count: int) -> tuple[int, int]:
    """`[1, 20]`, or its text; an end of -1 is the last line."""
    if given is None:
        return 1, count
    parts = given if isinstance(given, list) else str(given).strip(" []").split(",")
    try:
        first, last = (int(part) for part in parts)
    except (TypeError, ValueError):
        raise Refused(f"Invalid `view_range`: {given!r:.100}. It should be a list of two integers.") from None
    last = count if last == -1 else last
    if not 1 <= first <= last <= count:
        raise Refused(f"Invalid `view_range`: {given!r:.100}. It should be within the lines of the file: [1, {count}]")
    return first, last


def _numbered(lines: list[str], first: int, what: str) -> str:
    rows = "\n".join(f"{first + number:6}\t{line}" for number, line in enumerate(lines))
    return f"Here's the result of running `cat -n` on {what}:\n{rows}\n"
