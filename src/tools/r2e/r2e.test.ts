import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CAPS, FolderSandbox } from "../../../test/support/folder-sandbox.ts";
import { callTool, isSubmit } from "../table.ts";
import type { ToolResult } from "../tool.ts";

const R2E = ["execute_bash", "file_editor", "search", "finish"];
let sandbox: FolderSandbox;

beforeEach(async () => {
  sandbox = await FolderSandbox.create();
  mkdirSync(join(sandbox.workdir, "src/.hidden"), { recursive: true });
  writeFileSync(join(sandbox.workdir, "src/a.py"), "x = 1\nneedle = x\n# needle\n");
  writeFileSync(join(sandbox.workdir, "src/b.py"), "the -needle- is here\n");
  writeFileSync(join(sandbox.workdir, "src/.hidden/c.py"), "needle\n");
});

afterEach(async () => {
  await sandbox[Symbol.asyncDispose]();
});

const call = (name: string, args: object): Promise<ToolResult> =>
  callTool(R2E, name, JSON.stringify(args), {
    sandbox,
    state: {},
    timeoutMs: 120_000,
    noOutputTimeoutMs: 0,
    ...CAPS,
    outputBytes: 4000,
  });

test("execute_bash runs a command in a fresh shell each time", async () => {
  expect((await call("execute_bash", { cmd: "cd src; export A=1; ls" })).text).toBe("a.py\nb.py\n");
  expect((await call("execute_bash", { cmd: 'echo "A=$A"; ls' })).text).toBe("A=\nsrc\n");
});

test("file_editor is the editor, and takes `concise`", async () => {
  const path = join(sandbox.workdir, "src/a.py");
  const view = await call("file_editor", { command: "view", path, view_range: [1, 1], concise: true });
  expect(view.text).toContain("     1\tx = 1\n");
  expect((await call("file_editor", { command: "str_replace", path, old_str: "x = 1", new_str: "x = 2" })).kind).toBe(
    "OK",
  );
});

test("search lists files below a folder, and lines of a file", async () => {
  expect((await call("search", { search_term: "needle" })).text).toBe(
    'Files in . with "needle", and in how many lines:\n./src/a.py (2)\n./src/b.py (1)\n',
  );
  expect((await call("search", { search_term: "needle", path: "src/a.py" })).text).toBe(
    'Lines with "needle" in src/a.py:\n2:needle = x\n3:# needle\n',
  );
  expect((await call("search", { search_term: "-needle-", path: "src" })).text).toContain("src/b.py (1)");
  expect((await call("search", { search_term: "$(touch x)`" })).text).toBe('No file in . holds "$(touch x)`".\n');
});

test("search says what is not there, and what is too much", async () => {
  expect(await call("search", { search_term: "x", path: "nowhere" })).toMatchObject({
    kind: "TOOL_ERROR",
    text: "There is no file or folder nowhere.\n",
  });
  expect((await call("search", { search_term: "" })).kind).toBe("TOOL_ERROR");
  for (let i = 0; i < 101; i++) writeFileSync(join(sandbox.workdir, `f${i}`), "needle\n");
  expect((await call("search", { search_term: "needle" })).text).toMatch(/^103 files in \. hold "needle": search for/);
});

test("finish submits", () => {
  expect([isSubmit(R2E, "finish"), isSubmit(R2E, "search")]).toEqual([true, false]);
});
