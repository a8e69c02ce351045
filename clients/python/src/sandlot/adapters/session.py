"""A shell session, kept as a file of its state in the sandbox: a killed server or a time-out loses nothing of it."""

from __future__ import annotations

import asyncio
import shlex
import uuid
from collections.abc import Sequence

import sandlot

from .output import Output, output_of


class SyntaxFault(Exception):
    """Bash cannot read the command, and nothing of it was run. The message is bash's own."""


class Session:
    """
    One command after the other, each in a shell of its own that begins with what the one before left: working directory,
    variables, exported or not, functions, aliases, options, umask. Jobs (`fg`, `wait %1`) and traps are not kept.
    """

    def __init__(self, sandbox: sandlot.Sandbox, workdir: str) -> None:
        self._sandbox = sandbox
        self._workdir = workdir
        self._state = f"/tmp/.session-{uuid.uuid4().hex}"
        self._turn = asyncio.Lock()
        self._running: str | None = None

    async def start(self, sources: Sequence[str], timeout_ms: int) -> Output:
        """Reads start-up files; one that is missing is told in the output."""
        lines = ["shopt -s expand_aliases", *(f"source {shlex.quote(path)}" for path in sources)]
        return await self.run("\n".join(lines), timeout_ms)

    async def run(self, command: str, timeout_ms: int) -> Output:
        """Raises `SyntaxFault`. What both streams say is in `stdout`, in its order."""
        async with self._turn:
            self._running = uuid.uuid4().hex
            try:
                output = await output_of(
                    self._sandbox,
                    ["bash", "--noprofile", "--norc", "-c", _SHELL, "bash", self._state],
                    stdin=command,
                    workdir=self._workdir,
                    timeout_ms=timeout_ms,
                    call_id=self._running,
                )
            finally:
                self._running = None
        if output.code == 2 and output.stderr.startswith(_UNREADABLE):
            raise SyntaxFault(output.stderr.removeprefix(_UNREADABLE))
        return output

    async def interrupt(self) -> None:
        """Ends the command that runs, if any."""
        if self._running is not None:
            await self._sandbox.interrupt(self._running)

    async def close(self) -> None:
        await self.interrupt()
        await self._sandbox.exec(["rm", "-f", self._state])


_UNREADABLE = "bash cannot read this:\n"

# The command comes on stdin, where it may be of any length. From `exec` on both streams of it are one, and the real stderr is
# closed: only this script has written to it. What a command may have redefined is called as a builtin.
_SHELL = r"""
__session_state=$1
IFS= builtin read -r -d '' __session_command
__session_errors=$(bash -n <<<"$__session_command" 2>&1) ||
  { builtin printf 'bash cannot read this:\n%s\n' "$__session_errors" >&2; builtin exit 2; }
exec 2>&1 </dev/null
__session_names() {
  builtin compgen -v | while IFS= builtin read -r __session_name; do
    case $__session_name in
      __session_* | BASH | BASHOPTS | BASHPID | BASH_* | COMP_* | DIRSTACK | EPOCH* | EUID | FUNCNAME | GROUPS | HISTCMD) ;;
      LINENO | PIPESTATUS | PPID | RANDOM | SECONDS | SHELLOPTS | SHLVL | SRANDOM | UID | _) ;;
      *) builtin declare -p -- "$__session_name" ;;
    esac
  done
}
__session_save() {
  __session_code=$?
  __session_options=$(builtin set +o)
  [[ $- != *e* ]] || __session_options+=$'\nset -o errexit'
  builtin set +eux
  builtin trap - EXIT
  {
    builtin printf 'builtin cd -- %q\n' "$PWD"
    __session_names
    (builtin unset -f __session_names __session_save; builtin declare -f; builtin export -f)
    builtin alias -p
    builtin umask -p
    builtin shopt -p
    builtin printf '%s\n' "$__session_options"
  } >|"$__session_state.new" 2>/dev/null && builtin command -p mv -f -- "$__session_state.new" "$__session_state"
  builtin exit "$__session_code"
}
if [[ -e $__session_state ]]; then
  for __session_name in $(builtin compgen -e); do builtin unset -v "$__session_name" 2>/dev/null; done
  builtin source "$__session_state" 2>/dev/null
fi
builtin trap __session_save EXIT
builtin set --
builtin eval "$__session_command"
__session_save
"""
