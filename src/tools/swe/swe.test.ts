import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CAPS, FolderSandbox } from "../../../test/support/folder-sandbox.ts";
import { callTool } from "../table.ts";
import type { ToolResult } from "../tool.ts";

const SWE = ["swe_clone", "swe_install", "swe_apply_patch", "swe_pytest"];
const ROOT = resolve(import.meta.dirname, "../../..");
let sandbox: FolderSandbox;

beforeEach(async () => {
  sandbox = await FolderSandbox.create();
  Object.assign(sandbox.env, {
    PATH: `${ROOT}/.venv/bin:${sandbox.env.PATH}`,
    HOME: sandbox.workdir,
    PYTHONDONTWRITEBYTECODE: "1",
  });
  write("sums.py", "def add(a, b):\n    return a - b\n");
  write(
    "test_sums.py",
    "from sums import add\n\ndef test_two():\n    assert add(1, 1) == 2\n\ndef test_none():\n    assert add(0, 0) == 0\n",
  );
  git("init", "--quiet");
  commit("first");
});

afterEach(async () => {
  await sandbox[Symbol.asyncDispose]();
});

const FIX = "--- a/sums.py\n+++ b/sums.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b";

const call = (name: string, args: object = {}, timeoutMs = 120_000): Promise<ToolResult> =>
  callTool(SWE, name, JSON.stringify(args), {
    sandbox,
    state: {},
    timeoutMs,
    noOutputTimeoutMs: 0,
    ...CAPS,
    outputBytes: 4000,
  });
const write = (name: string, text: string): void => writeFileSync(join(sandbox.workdir, name), text);
const read = (name: string): string => readFileSync(join(sandbox.workdir, name), "utf8");
const git = (...args: string[]): string =>
  execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@b", ...args], {
    cwd: sandbox.workdir,
    encoding: "utf8",
  });
const commit = (message: string): string => {
  git("add", "-A");
  git("commit", "--quiet", "-m", message);
  return git("rev-parse", "HEAD").trim();
};

test("from a patch, without the end of its last line, to tests that pass", async () => {
  const before = await call("swe_pytest");
  expect(before).toMatchObject({ kind: "OK", exitCode: 1 });
  expect(before.text).toMatch(/1 failed, 1 passed in [\d.]+s\n\[failed\]\n$/);
  expect((await call("swe_apply_patch", { patch: FIX })).text).toMatch(/\[patched\]\n$/);
  expect((await call("swe_pytest")).text).toMatch(/2 passed in [\d.]+s\n\[passed\]\n$/);
});

test("swe_pytest is narrowed down, and tells no tests, no pytest and what cannot be collected apart", async () => {
  expect((await call("swe_pytest", { pytest_k: "none" })).text).toMatch(/1 passed, 1 deselected in .*\n\[passed\]\n$/);
  expect((await call("swe_pytest", { path: "test_sums.py::test_none" })).text).toMatch(/\[passed\]\n$/);
  expect((await call("swe_pytest", { pytest_k: "nothing" })).text).toMatch(/\[no_tests\]\n$/);
  expect((await call("swe_pytest", { path: "-x" })).text).toMatch(/\[tests_error\]\n$/);
  write("test_sums.py", "import no_such_module\n");
  expect((await call("swe_pytest")).text).toMatch(/\[tests_error\]\n$/);
  execFileSync("python3", ["-m", "venv", "--without-pip", join(sandbox.workdir, "bare")]);
  Object.assign(sandbox.env, { PATH: `${sandbox.workdir}/bare/bin:/usr/bin:/bin` });
  expect((await call("swe_pytest")).text).toBe("pytest is not installed\n[tests_error]\n");
});

test("a patch that does not fit as a whole changes nothing", async () => {
  const half = `${FIX}\n--- a/no_such.py\n+++ b/no_such.py\n@@ -1 +1 @@\n-x\n+y\n`;
  const result = await call("swe_apply_patch", { patch: half });
  expect(result.text).toMatch(/\[patch_failed\]\n$/);
  expect(git("status", "--porcelain")).toBe("");
  expect((await call("swe_apply_patch", { patch: "no diff at all" })).text).toMatch(/\[patch_failed\]\n$/);
});

test("a patch that fits a few lines away is applied, and leaves no other file", async () => {
  write("sums.py", `# one\n# two\n${read("sums.py")}`);
  commit("moved");
  expect((await call("swe_apply_patch", { patch: FIX })).text).toMatch(/\[patched\]\n$/);
  expect(git("status", "--porcelain")).toBe(" M sums.py\n");
});

test("swe_clone begins anew, at a commit where one is named", async () => {
  const first = git("rev-parse", "HEAD").trim();
  write(".gitignore", "kept\n");
  commit("second");
  write("kept", "");
  write("new.py", "");
  write("sums.py", "");
  expect((await call("swe_clone")).text).toMatch(/^[0-9a-f]{40} second\n\[cloned\]\n$/);
  expect(git("status", "--porcelain")).toBe("");
  expect(existsSync(join(sandbox.workdir, "kept"))).toBe(true);
  expect((await call("swe_clone", { ref: first })).text).toBe(`${first} first\n[cloned]\n`);
  for (const ref of ["no-such", "--help", ""])
    expect((await call("swe_clone", { ref })).text).toMatch(/^the repository has no commit.*\n\[clone_failed\]\n$/);
});

test("swe_install takes what is there, and is soon done where something is missing", async () => {
  expect((await call("swe_install")).text).toMatch(/^nothing to install: .*\n\[installed\]\n$/);
  write("requirements.txt", "pytest\n");
  expect((await call("swe_install")).text).toMatch(/already satisfied: pytest[\s\S]*\[installed\]\n$/);
  write("requirements.txt", "no-such-package-here\n");
  expect((await call("swe_install")).text).toMatch(/No matching distribution found[\s\S]*\[install_failed\]\n$/);
});

test("a stage that is out of time is ended and says so", async () => {
  write("test_sums.py", "import time\n\ndef test_long():\n    time.sleep(1000)\n");
  const result = await call("swe_pytest", {}, 1500);
  expect(result.kind).toBe("TIMED_OUT");
  expect(result.text).toMatch(/\[tests_timeout: ended after 1.5 s, with all its processes\]\n$/);
});
