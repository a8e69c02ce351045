"""A little shell over files in memory: enough for tests to say what a policy did."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Command: TypeAlias = Callable[["Shell", list[str], bytes], tuple[int, str]]
"""A program: gets the shell, its arguments (itself first) and standard input; gives exit code and output."""

_BREAKS = {";", "&&", "||", "&", "\n", "(", ")"}


@dataclass
class Shell:
    """Knows `;`, `&&`, `||`, pipes, `<`, `>` and `>>`, variables, and the programs below; `&` starts nothing."""

    files: dict[str, bytes]
    cwd: str
    env: dict[str, str] = field(default_factory=dict)
    commands: Mapping[str, Command] = field(default_factory=dict)
    output: Callable[[str, bytes], None] = lambda stream, data: None

    async def run(self, line: str, stdin: bytes = b"") -> int:
        """The exit code of a command line; `output` hears "stdout" and "stderr"."""
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&\n")
        lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
        code, words, wanted = 0, [], True
        try:
            tokens = [*lexer, ";"]
        except ValueError as problem:
            self.output("stderr", f"bash: {problem}\n".encode())
            return 2
        for token in tokens:
            if token not in _BREAKS and set(token) - {";", "&", "\n", "(", ")"}:
                words.append(token)
                continue
            behind = "&" in token.replace("&&", "")
            if words and wanted and not behind:
                try:
                    code = await self._pipeline(words, stdin)
                except SystemExit as end:
                    return int(end.code or 0)
            if words or token in ("&&", "||"):
                wanted = code == 0 if token == "&&" else code != 0 if token == "||" else True
            words = []
        return code

    def at(self, path: str) -> str:
        """An absolute path."""
        parts: list[str] = []
        for part in (path if path.startswith("/") else f"{self.cwd}/{path}").split("/"):
            if part == "..":
                parts = parts[:-1]
            elif part not in ("", "."):
                parts.append(part)
        return "/" + "/".join(parts)

    def is_folder(self, path: str) -> bool:
        return path in ("/", "/tmp") or any(name.startswith(f"{path}/") for name in self.files)

    def listing(self, path: str) -> str:
        """The names in a folder, one a line, those of folders with a slash at the end."""
        inside = path.rstrip("/") + "/"
        below = [name.removeprefix(inside) for name in self.files if name.startswith(inside)]
        names = {name.split("/")[0] + ("/" if "/" in name else "") for name in below}
        return "".join(f"{name}\n" for name in sorted(names))

    async def _pipeline(self, words: list[str], stdin: bytes) -> int:
        code, carried = 0, stdin
        stages: list[list[str]] = [[]]
        for word in words:
            if word == "|":
                stages.append([])
            else:
                stages[-1].append(word)
        for index, stage in enumerate(stages):
            argv, carried, target, append = self._redirected(stage, carried)
            code, text = await self._program(argv, carried)
            carried = text.encode()
            if target == "stderr":
                self.output("stderr", carried)
                carried = b""
            elif target:
                self.files[target] = self.files.get(target, b"") + carried if append else carried
            elif index == len(stages) - 1:
                self.output("stdout", carried)
        return code

    def _redirected(self, words: list[str], stdin: bytes) -> tuple[list[str], bytes, str, bool]:
        argv: list[str] = []
        target, append = "", False
        left = iter(words)
        for word in left:
            if word in (">", ">>"):
                target, append = self.at(self._expanded(next(left, ""))), word == ">>"
            elif word == ">&":
                target = "stderr" if next(left, "") == "2" else target
            elif word == "<":
                stdin = self.files.get(self.at(self._expanded(next(left, ""))), b"")
            else:
                argv.append(self._expanded(word))
        return argv, stdin, target, append

    def _expanded(self, word: str) -> str:
        names = {**self.env, "PWD": self.cwd}
        return re.sub(r"\$(?:(\w+)|\{(\w+)\})", lambda found: names.get(found[1] or found[2], ""), word)

    async def _program(self, argv: list[str], stdin: bytes) -> tuple[int, str]:
        while argv and re.fullmatch(r"\w+=.*", argv[0], re.DOTALL):
            name, value = argv.pop(0).split("=", 1)
            self.env[name] = value
        if not argv:
            return 0, ""
        name = argv[0]
        if name in ("bash", "sh") and argv[1:2] == ["-c"]:
            return await self.run(argv[2] if len(argv) > 2 else "", stdin), ""
        if name == "sleep":
            await asyncio.sleep(float(argv[1]))
            return 0, ""
        program = self.commands.get(name) or _PROGRAMS.get(name)
        if program is None:
            self.output("stderr", f"bash: line 1: {name}: command not found\n".encode())
            return 127, ""
        return program(self, argv, stdin)


def _texts(shell: Shell, argv: list[str], stdin: bytes) -> str:
    paths = [word for word in argv[1:] if not word.startswith("-")]
    return b"".join(shell.files.get(shell.at(path), b"") for path in paths).decode() if paths else stdin.decode()


def _count(argv: list[str]) -> int:
    return next((int(word.lstrip("-n")) for word in argv[1:] if re.fullmatch(r"-n?\d+", word)), 10)


def _echo(shell: Shell, argv: list[str], stdin: bytes) -> tuple[int, str]:
    bare = argv[1:2] == ["-n"]
    return 0, " ".join(argv[2 if bare else 1 :]) + ("" if bare else "\n")


def _cat(shell: Shell, argv: list[str], stdin: bytes) -> tuple[int, str]:
    missing = [path for path in argv[1:] if shell.at(path) not in shell.files]
    for path in missing:
        shell.output("stderr", f"cat: {path}: No such file or directory\n".encode())
    return (1 if missing else 0), _texts(shell, argv, stdin)


def _cd(shell: Shell, argv: list[str], stdin: bytes) -> tuple[int, str]:
    path = shell.at(argv[1] if len(argv) > 1 else "/")
    if not shell.is_folder(path):
        shell.output("stderr", f"bash: line 1: cd: {argv[1]}: No such file or directory\n".encode())
        return 1, ""
    shell.cwd = path
    return 0, ""


def _export(shell: Shell, argv: list[str], stdin: bytes) -> tuple[int, str]:
    for name, is_set, value in (word.partition("=") for word in argv[1:]):
        if is_set:
            shell.env[name] = value
    return 0, ""


def _exit(shell: Shell, argv: list[str], stdin: bytes) -> tuple[int, str]:
    raise SystemExit(int(argv[1]) if len(argv) > 1 else 0)


def _rm(shell: Shell, argv: list[str], stdin: bytes) -> tuple[int, str]:
    for path in (shell.at(word) for word in argv[1:] if not word.startswith("-")):
        for name in [one for one in shell.files if one == path or one.startswith(f"{path}/")]:
            del shell.files[name]
    return 0, ""


def _ls(shell: Shell, argv: list[str], stdin: bytes) -> tuple[int, str]:
    folder = shell.at(next((word for word in argv[1:] if not word.startswith("-")), "."))
    return 0, shell.listing(folder).replace("/\n", "\n")


_PROGRAMS: dict[str, Command] = {
    "true": lambda shell, argv, stdin: (0, ""),
    "false": lambda shell, argv, stdin: (1, ""),
    "mkdir": lambda shell, argv, stdin: (0, ""),
    "pwd": lambda shell, argv, stdin: (0, f"{shell.cwd}\n"),
    "printf": lambda shell, argv, stdin: (0, "".join(argv[2:]) if argv[1:2] == ["%s"] else "".join(argv[1:2])),
    "wc": lambda shell, argv, stdin: (0, f"{_texts(shell, argv, stdin).count(chr(10))}\n"),
    "head": lambda shell, argv, stdin: (0, "".join(_texts(shell, argv, stdin).splitlines(True)[: _count(argv)])),
    "tail": lambda shell, argv, stdin: (0, "".join(_texts(shell, argv, stdin).splitlines(True)[-_count(argv) :])),
    "echo": _echo,
    "cat": _cat,
    "cd": _cd,
    "export": _export,
    "exit": _exit,
    "rm": _rm,
    "ls": _ls,
}
