import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
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

async function edit(args: Record<string, unknown>, outputBytes = 16_384): Promise<ToolResult> {
  const call = { sandbox, state, timeoutMs: 120_000, noOutputTimeoutMs: 0, ...CAPS, outputBytes };
  const result = await callTool(["str_replace_editor"], "str_replace_editor", JSON.stringify(args), call);
  state = JSON.parse(JSON.stringify(result.state)) as ToolState; // JSON of the same type
  return result;
}

const at = (name: string): string => join(sandbox.workdir, name);
const content = (name: string): string => readFileSync(at(name), "utf8");

function file(name: string, text: string | Buffer): string {
  writeFileSync(at(name), text);
  return at(name);
}

test("a file is viewed with numbered lines", async () => {
  const path = file("a.py", "one\n\ttwo\n");
  const result = await edit({ command: "view", path });
  expect(result).toMatchObject({ kind: "OK", truncated: false });
  expect(result.text).toBe(
    `Here's the result of running \`cat -n\` on ${path}:\n     1\tone\n     2\t\ttwo\n     3\t\n`,
  );
});

test.each(["[2, 3]", "2,3", "2-3", " [2,3] ", [2, 3]])("view_range %j shows those lines", async (view_range) => {
  const path = file("a", "1\n2\n3\n4");
  expect((await edit({ command: "view", path, view_range })).text).toContain(":\n     2\t2\n     3\t3\n");
});

test("a view_range that ends at -1 goes to the end", async () => {
  const path = file("a", "1\n2\n3");
  expect((await edit({ command: "view", path, view_range: [2, -1] })).text).toContain(":\n     2\t2\n     3\t3\n");
});

test.each([
  [[0, 2], "Its first element `0` should be within the range of lines of the file: [1, 3]"],
  [[2, 9], "Its second element `9` should be smaller than the number of lines in the file: `3`"],
  [[3, 2], "Its second element `2` should be larger or equal than its first `3`"],
  [[1], "It should be a list of two integers"],
  ["all", "It should be a list of two integers"],
])("view_range %j is refused", async (view_range, said) => {
  const path = file("a", "1\n2\n3");
  const result = await edit({ command: "view", path, view_range });
  expect(result.kind).toBe("TOOL_ERROR");
  expect(result.text).toContain("Invalid `view_range`");
  expect(result.text).toContain(said);
});

test("a long file is clipped at a line with advice", async () => {
  const path = file("a", "line\n".repeat(10_000));
  const result = await edit({ command: "view", path }, 2000);
  expect(result.text).toContain("<response clipped>");
  expect(Buffer.byteLength(result.text)).toBeLessThanOrEqual(2000);
  expect(result.truncated).toBe(true);
});

test("a folder is listed two levels deep without hidden entries, links not followed", async () => {
  for (const name of ["d", "d/e", "d/e/f", ".git"]) mkdirSync(at(name));
  for (const name of ["b", "d/x", "d/.h", ".git/config", "d/e/deep"]) file(name, "");
  symlinkSync("d", at("link"));
  const result = await edit({ command: "view", path: sandbox.workdir });
  expect(result.text.split("\n")).toEqual([
    `Here's the files and directories up to 2 levels deep in ${sandbox.workdir}, excluding hidden items:`,
    ...["", "/b", "/d", "/d/e", "/d/x", "/link"].map((name) => `${sandbox.workdir}${name}`),
    "",
  ]);
  expect(await edit({ command: "view", path: at("d"), view_range: [1, 2] })).toMatchObject({ kind: "TOOL_ERROR" });
});

test("a folder with 200,000 entries is listed in part", async () => {
  mkdirSync(at("many"));
  execFileSync("sh", ["-c", "seq 200000 | xargs touch"], { cwd: at("many") });
  const result = await edit({ command: "view", path: sandbox.workdir });
  expect(result.kind).toBe("OK");
  expect(result.text.split("\n").length).toBeLessThan(2100);
});

test("create makes a file with its folders and does not overwrite one", async () => {
  const result = await edit({ command: "create", path: at("x/y.txt"), file_text: "hi" });
  expect(result).toMatchObject({ kind: "OK", text: `File created successfully at: ${at("x/y.txt")}\n` });
  expect(content("x/y.txt")).toBe("hi");
  const again = await edit({ command: "create", path: at("x/y.txt"), file_text: "no" });
  expect(again).toMatchObject({
    kind: "TOOL_ERROR",
    text: `File already exists at: ${at("x/y.txt")}. Cannot overwrite files using command \`create\`.`,
  });
  expect(content("x/y.txt")).toBe("hi");
});

test("a path without a slash in front is taken from the work folder", async () => {
  await edit({ command: "create", path: "rel.txt", file_text: "x" });
  expect(content("rel.txt")).toBe("x");
});

test("str_replace replaces one place, keeps tabs, line ends and dollars, and shows a snippet", async () => {
  const path = file("a", "1\r\n2\n3\n4\n5\n\told\n7\n8\n9\n10\n11\n12");
  const result = await edit({ command: "str_replace", path, old_str: "\told", new_str: "\tnew $& $1\n\tmore" });
  expect(content("a")).toBe("1\r\n2\n3\n4\n5\n\tnew $& $1\n\tmore\n7\n8\n9\n10\n11\n12");
  const shown = ["     2\t2", "     3\t3", "     4\t4", "     5\t5", "     6\t\tnew $& $1", "     7\t\tmore"];
  const rest = ["     8\t7", "     9\t8", "    10\t9", "    11\t10"];
  expect(result.text).toBe(
    `The file ${path} has been edited. Here's the result of running \`cat -n\` on a snippet of ${path}:\n${[...shown, ...rest].join("\n")}\nReview the changes and make sure they are as expected. Edit the file again if necessary.\n`,
  );
});

test("str_replace without new_str deletes", async () => {
  await edit({ command: "str_replace", path: file("a", "abc"), old_str: "b" });
  expect(content("a")).toBe("ac");
});

test.each([
  ["nope", "x", "No replacement was performed, old_str `nope` did not appear verbatim in"],
  [
    "b",
    "x",
    "No replacement was performed. Multiple occurrences of old_str `b` in lines [2, 4]. Please ensure it is unique",
  ],
  ["a\nb", "a\nb", "is the same as new_str"],
  ["", "x", "Parameter `old_str` is required for command: str_replace"],
])("str_replace of %j by %j is refused and changes nothing", async (old_str, new_str, said) => {
  const path = file("a", "a\nb\nc\nb b\n");
  const result = await edit({ command: "str_replace", path, old_str, new_str });
  expect(result.kind).toBe("TOOL_ERROR");
  expect(result.text).toContain(said);
  expect(content("a")).toBe("a\nb\nc\nb b\n");
  expect(state).toEqual({});
});

test("insert puts lines after the given one", async () => {
  const path = file("a", "1\n2\n3\n");
  const result = await edit({ command: "insert", path, insert_line: 1, new_str: "x\ny" });
  expect(content("a")).toBe("1\nx\ny\n2\n3\n");
  expect(result.text).toContain("a snippet of");
  expect(result.text).toContain("     2\tx\n     3\ty\n     4\t2");
  await edit({ command: "insert", path, insert_line: 0, new_str: "0" });
  expect(content("a")).toBe("0\n1\nx\ny\n2\n3\n");
  expect(await edit({ command: "insert", path, insert_line: 9, new_str: "x" })).toMatchObject({
    kind: "TOOL_ERROR",
    text: "Invalid `insert_line` parameter: 9. It should be within the range of lines of the file: [0, 7]",
  });
  expect((await edit({ command: "insert", path, new_str: "x" })).text).toContain("`insert_line` is required");
  expect((await edit({ command: "insert", path, insert_line: 1 })).text).toContain("`new_str` is required");
});

test("undo_edit takes edits back one by one, the creation too", async () => {
  const path = at("n");
  await edit({ command: "create", path, file_text: "1" });
  await edit({ command: "str_replace", path, old_str: "1", new_str: "2" });
  await edit({ command: "insert", path, insert_line: 1, new_str: "3" });
  expect(content("n")).toBe("2\n3");
  expect((await edit({ command: "undo_edit", path })).text).toContain(`Last edit to ${path} undone successfully.`);
  expect(content("n")).toBe("2");
  await edit({ command: "undo_edit", path });
  expect(content("n")).toBe("1");
  await edit({ command: "undo_edit", path });
  expect(existsSync(path)).toBe(false);
  expect(await edit({ command: "undo_edit", path })).toMatchObject({
    kind: "TOOL_ERROR",
    text: `No edit history found for ${path}.`,
  });
});

test("undo history is bounded for each file and in all, and the file edited longest ago is forgotten first", async () => {
  const path = file("a", "0");
  for (let count = 0; count < 12; count++)
    await edit({ command: "str_replace", path, old_str: String(count), new_str: String(count + 1) });
  expect(state.undo?.[path]).toHaveLength(10);
  for (let count = 0; count < 4; count++) {
    const noise = Buffer.from(
      Array.from({ length: 400_000 }, (_, index) => 33 + ((index * index * 31 + count * 7 + (index % 8191) * 13) % 90)),
    );
    const big = file(`big${count}`, Buffer.concat([noise, Buffer.from("\nmark~~")]));
    await edit({ command: "str_replace", path: big, old_str: "mark~~", new_str: "x" });
  }
  expect(JSON.stringify(state.undo).length).toBeLessThan(1.1 * 2 ** 20);
  expect(Object.keys(state.undo ?? {})).toContain(at("big3"));
});

test.each([
  ["missing", "does not exist. Please provide a valid path."],
  ["folder", "is a directory and only the `view` command can be used on directories"],
  ["fifo", "is no regular file"],
  ["binary", "is no UTF-8 text"],
  ["latin1", "is no UTF-8 text"],
  ["huge", "has 2097153 bytes, and this tool takes at most 2097152"],
])("editing a path that is %s is an observation", async (name, said) => {
  mkdirSync(at("folder"));
  execFileSync("mkfifo", [at("fifo")]);
  file("binary", "a\0b");
  file("latin1", Buffer.from("\xe4x", "latin1"));
  file("huge", "x".repeat((2 << 20) + 1));
  for (const args of [
    { command: "str_replace", old_str: "a", new_str: "b" },
    { command: "insert", insert_line: 0, new_str: "b" },
  ]) {
    const result = await edit({ ...args, path: at(name) });
    expect(result.kind).toBe("TOOL_ERROR");
    expect(result.text).toContain(said);
  }
});

test("create in place of a FIFO or folder is refused", async () => {
  execFileSync("mkfifo", [at("fifo")]);
  expect(await edit({ command: "create", path: at("fifo"), file_text: "x" })).toMatchObject({ kind: "TOOL_ERROR" });
});

test("an edit keeps the mode of the file and a byte order mark", async () => {
  const path = file("run.sh", "\ufeff#!/bin/sh\n");
  chmodSync(path, 0o755);
  await edit({ command: "str_replace", path, old_str: "/bin/sh", new_str: "/bin/bash" });
  expect(statSync(path).mode & 0o777).toBe(0o755);
  expect(content("run.sh")).toBe("\ufeff#!/bin/bash\n");
});
