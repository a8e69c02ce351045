import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CAPS, FolderSandbox } from "../../test/support/folder-sandbox.ts";
import { callTool } from "./table.ts";
import type { ToolResult, ToolState } from "./tool.ts";

let sandbox: FolderSandbox;
let state: ToolState;

beforeEach(async () => {
  sandbox = await FolderSandbox.create();
  state = {};
});

afterEach(async () => {
  await sandbox[Symbol.asyncDispose]();
});

/** One call after the other, each with the state that the one before left, as the journal gives it back. */
async function run(
  command: string,
  more: { stateless?: boolean; timeoutMs?: number; outputBytes?: number } = {},
): Promise<ToolResult> {
  const { stateless, timeoutMs = 120_000, outputBytes = 16_384 } = more;
  const args = JSON.stringify({ command, ...(stateless === undefined ? {} : { stateless }) });
  const result = await callTool(["bash"], "bash", args, {
    sandbox,
    state,
    timeoutMs,
    noOutputTimeoutMs: 0,
    ...CAPS,
    outputBytes,
  });
  state = JSON.parse(JSON.stringify(result.state)) as ToolState; // JSON of the same type
  return result;
}

async function text(command: string): Promise<string> {
  return (await run(command)).text;
}

test("output comes back with the exit code of the command", async () => {
  expect(await run("echo hi")).toMatchObject({ kind: "OK", text: "hi\n", exitCode: 0, truncated: false });
  expect(await run("echo oops >&2; (exit 3)")).toMatchObject({ kind: "OK", text: "oops\n[exit code 3]", exitCode: 3 });
  expect(await run("printf x; exit 4")).toMatchObject({ text: "x\n[exit code 4]", exitCode: 4 });
});

test("the working directory is kept between calls", async () => {
  await run("mkdir -p a/b && cd a/b");
  expect(await text("pwd")).toBe(`${sandbox.workdir}/a/b\n`);
  await run("cd ../..");
  expect(state.cwd).toBeUndefined();
  expect(await text("cd - >/dev/null && pwd")).toBe(`${sandbox.workdir}/a/b\n`);
});

test("a folder entered by a link keeps the link's name", async () => {
  await run("mkdir real && ln -s real link && cd link");
  expect(await text("pwd; pwd -P")).toBe(`${sandbox.workdir}/link\n${sandbox.workdir}/real\n`);
});

test("a folder that is gone falls back to / and a name with a newline is a name", async () => {
  await run("mkdir $'a\\nb' && cd $'a\\nb'");
  expect(state.cwd).toBe(`${sandbox.workdir}/a\nb`);
  rmdirSync(join(sandbox.workdir, "a\nb"));
  expect(await text("pwd")).toContain("/\n");
  expect(state.cwd).toBe("/");
});

const VALUES = [
  "plain",
  "",
  "two  blanks ",
  "a\nb\n",
  `'single' "double" \`back\` $dollar \\ \\n`,
  'declare -x FORGED="1"\n',
  "tab\tbell\x07esc\x1b[0m\x7f",
  "äöü 漢字 🙂",
  "-n",
  "a=b=c",
  "$'x'",
  "\\\n",
  "(1 2)",
  "x".repeat(100_000),
];

test.each(VALUES.map((value) => [value.slice(0, 30), value]))(
  "an exported variable with the value %j arrives unchanged",
  async (_name, value) => {
    const file = join(sandbox.workdir, "value");
    writeFileSync(file, value);
    await run(`IFS= read -r -d '' V < value; export V AFTER=1`);
    expect(state.exported).toEqual({ V: value, AFTER: "1" });
    await run(`printf %s "$V" > again; bash -c 'printf %s "$V"' > child; sed 's/x/x/' again >/dev/null`);
    expect(await text("cmp value again && cmp value child && echo same")).toBe("same\n");
    expect(state.exported).toEqual({ V: value, AFTER: "1" });
  },
);

test("values are the same under the C locale", async () => {
  await run("export LC_ALL=C V='ä 漢'");
  await run("true");
  expect(state.exported).toMatchObject({ LC_ALL: "C", V: "ä 漢" });
});

test("variables are changed and unset for good, others are forgotten", async () => {
  await run("export BASE=changed; plain=1; f() { :; }; alias x=y");
  expect(await text('echo "$BASE,$plain"; type f 2>&1 | head -1')).toMatch(/^changed,\n.*f: not found/);
  await run("unset BASE");
  expect(state.exported).toEqual({ BASE: null });
  expect(await text("printenv BASE || echo unset")).toBe("unset\n");
  await run("export BASE=base");
  expect(state).toEqual({});
});

test("arrays, functions and odd names do not enter the environment", async () => {
  await run("declare -ax LIST=(1 2); declare -Ax MAP=([k]='v\nw'); f() { :; }; export -f f; export OK=1");
  expect(state.exported).toEqual({ OK: "1" });
});

test("a broken PATH or locale can be mended by a later call", async () => {
  await run("export PATH=/nowhere LD_LIBRARY_PATH=/nowhere LC_ALL=xx_YY");
  expect(await text("ls")).toMatch(/ls: (command not found|No such file)/);
  expect(await text('echo "$PATH $LD_LIBRARY_PATH $LC_ALL"')).toBe("/nowhere /nowhere xx_YY\n");
  await run("unset PATH");
  expect(await text("/usr/bin/printenv PATH || echo unset")).toBe("unset\n");
  await run("export PATH=/usr/bin:/bin; unset LC_ALL LD_LIBRARY_PATH");
  expect(await text("ls -d /")).toBe("/\n");
});

test("BASH_ENV reaches children as in a shell that is kept, and not the shell itself", async () => {
  writeFileSync(join(sandbox.workdir, "rc"), "echo from rc\n");
  await run("export BASH_ENV=$PWD/rc");
  expect(await text("echo one; bash -c 'echo two'")).toBe("one\nfrom rc\ntwo\n");
});

test.each([
  ["set -e", "set -e; cd /; false; echo not here", 1],
  ["set -u", "set -u; cd /; echo $nope", 127],
  ["a syntax error below", "cd /\nif", 2],
  ["TERM", "cd /; kill -TERM $$", undefined],
  ["exec with a redirection", "cd /; exec >out", 0],
  ["a closed stdout", "cd /; exec >&- 2>&-", 0],
  ["descriptor 9 in use", "exec 9>lock; flock -n 9; cd /", 0],
  ["set -C", "set -C; cd /", 0],
  ["posix mode", "set -o posix; cd /", 0],
  ["a background child", "sleep 0.2 & cd /", 0],
  ["a subshell at the end", "cd /; (exit 5)", 5],
  ["a name of its own for builtins", "pwd() { echo no; }; declare() { echo no; }; cd /", 0],
])("the state is saved and the exit code right with %s", async (_name, command, exitCode) => {
  const result = await run(command);
  expect(result.exitCode).toBe(exitCode);
  expect(state.cwd).toBe("/");
});

test.each([
  ["an EXIT trap of its own", "cd /; trap 'echo bye' EXIT", 0],
  ["exec of a program", "cd /; exec true", 0],
  ["kill -9 of the shell", "cd /; kill -9 $$", undefined],
  ["descriptor 199 closed, under set -e", "cd /; set -e; exec 199>&-", 0],
])("with %s the earlier state stays", async (_name, command, exitCode) => {
  await run("export KEPT=1");
  const result = await run(command);
  expect(result).toMatchObject({ kind: "OK" });
  expect(result.exitCode).toBe(exitCode);
  expect(state).toEqual({ exported: { KEPT: "1" } });
});

test("a killed shell is told by its signal", async () => {
  expect(await run("echo a; kill -9 $$")).toMatchObject({ text: "a\n[killed by signal 9]", signal: 9 });
});

test("a time-out keeps what was printed, and the state, and says so", async () => {
  const result = await run("cd /; echo begun; sleep 600", { timeoutMs: 2_500 });
  expect(result).toMatchObject({ kind: "TIMED_OUT", state: {} });
  expect(result.text).toBe(
    "begun\n[timed out after 2.5 s: the command and its processes were ended; working directory and variables are as before it]",
  );
});

test("a forged state is data: nothing of it runs, and it is used or dropped", async () => {
  await run(
    "printf '/tmp\\n\\0declare -x A=\"$(touch pwned)\"\\ndeclare -x B=1; touch pwned\\n\\0END' >/proc/self/fd/199; trap - EXIT",
  );
  expect(await text('echo "$A"')).toBe("$(touch pwned)\n");
  expect(existsSync(join(sandbox.workdir, "pwned"))).toBe(false);
  for (const forged of [
    "",
    "\\0END",
    "x\\n\\0\\0END",
    "relative\\n\\0=\\0END",
    "/tmp\\n\\0=\\0\\0END",
    '/\\n\\0declare -x Z="open\\0END',
  ]) {
    await run(`printf '${forged}' >/proc/self/fd/199; trap - EXIT`);
    expect(await text("echo fine")).toBe("fine\n");
  }
});

test("variables too large to be kept are said to be lost, and the next command starts", async () => {
  const result = await run("export BIG=$(printf '%0300000d' 0)");
  expect(result.text).toContain("too large to be kept");
  expect(state).toEqual({});
  await run("export LONG=$(printf '%0140000d' 0) SHORT=1");
  expect(state.exported).toEqual({ SHORT: "1" });
  expect(await text("true; echo fine")).toBe("fine\n");
});

test("the command sees what it would see in a shell of its own", async () => {
  expect(await text('echo "$0,$#,$LINENO,$-"\necho $LINENO')).toBe("bash,0,1,hBc\n2\n");
  expect(await text("cat; echo end; read x || echo no input; readlink /proc/self/fd/0")).toBe(
    "end\nno input\n/dev/null\n",
  );
  expect(await text("cat <<'E'\n$x 'y'\nE")).toBe("$x 'y'\n");
  expect(await text("set -x; true")).toBe("++ true\n");
  expect(await text("echo only # a comment")).toBe("only\n");
  expect(await text("compgen -v | grep __ || echo none")).toBe("none\n");
  expect(await text("")).toBe("");
});

test("the clock of the shell starts with the command, however long its shell waited for it", async () => {
  expect(await text("true")).toBe("");
  await new Promise((resolve) => setTimeout(resolve, 3_500));
  expect(Number(await text("echo $SECONDS"))).toBeLessThan(3);
});

test("a command of 900 kB runs", async () => {
  expect(await text(`v='${"y".repeat(900_000)}'; echo \${#v}`)).toBe("900000\n");
});

test("stateless starts afresh and keeps nothing", async () => {
  await run("cd /; export X=1");
  const before = state;
  const result = await run("pwd; printenv X || echo unset; cd /tmp; export Y=1; exit 2", { stateless: true });
  expect(result.text).toBe(`${sandbox.workdir}\nunset\n[exit code 2]`);
  expect(state).toEqual(before);
});

test("a command that changes nothing gives the same state back, so that it is not journalled again", async () => {
  await run("mkdir d; cd d; export A=1");
  const same = { ...state };
  const result = await callTool(["bash"], "bash", '{"command":"true"}', {
    sandbox,
    state: same,
    timeoutMs: 120_000,
    noOutputTimeoutMs: 0,
    ...CAPS,
    outputBytes: 1000,
  });
  expect(result.state).toBe(same);
});

test("long output is cut in the middle for the policy and kept for the record", async () => {
  mkdirSync(join(sandbox.workdir, "x"));
  const result = await run("seq 100000", { outputBytes: 1000 });
  expect(result.text).toMatch(/^1\n2\n[\s\S]*\[\.\.\. \d+ bytes left out here \.\.\.\]\n[\s\S]*100000\n$/);
  expect(Buffer.byteLength(result.text)).toBeLessThanOrEqual(1000);
  expect(result).toMatchObject({ truncated: true, outputBytes: 588_895 });
});
