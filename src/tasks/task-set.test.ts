import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fileSource } from "./sources/file.ts";
import { someRow, someTask } from "./task.fixture.ts";
import { readTaskSet } from "./task-set.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tasks-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(name: string, content: string | Uint8Array) {
  await writeFile(join(folder, name), content);
  return readTaskSet(fileSource(join(folder, name)));
}

async function refusal(content: string | Uint8Array): Promise<string[]> {
  const error = await read("bad.jsonl", content).then(
    () => expect.fail("expected a refusal"),
    (thrown) => thrown,
  );
  expect(error).toMatchObject({ name: "SandlotError", fault: "invalid" });
  return error.message.replaceAll(`${folder}/`, "").split("\n");
}

const line = (row: unknown) => `${JSON.stringify(row)}\n`;

describe("a JSON-lines file of tasks", () => {
  it("mixes our own schema and rows in SWE-bench form, in order", async () => {
    const tasks = await read("mixed.jsonl", `${line(someTask())}\n\r\n${line(someRow())}`);
    expect(tasks.map((task) => task.id)).toEqual(["own-1", "acme__tool-1"]);
    expect(tasks[1]?.source.dataset).toBe("mixed");
  });

  it("may be compressed, and lack the last line feed", async () => {
    const tasks = await read("rows.jsonl.gz", gzipSync(line(someRow()) + JSON.stringify(someTask())));
    expect(tasks.map((task) => task.id)).toEqual(["acme__tool-1", "own-1"]);
  });

  it("resolves relative paths against itself", async () => {
    const [task] = await read("own.jsonl", line(someTask()));
    expect(task?.environment.repository).toEqual({ type: "path", path: join(folder, "clones/tool") });
  });

  it("keeps line separators of Unicode inside a text", async () => {
    const [task] = await read("own.jsonl", `${line(someTask({ instruction: "a\u2028b\u0085c" }))}`);
    expect(task?.instruction).toBe("a\u2028b\u0085c");
  });

  it("gives each problem with file, line, field, what was expected and what was got", async () => {
    const bad = [someTask({ instruction: undefined }), someTask(), someTask({ colour: "red" }), someRow({ repo: 5 })];
    expect(await refusal(bad.map(line).join(""))).toEqual([
      "bad.jsonl:1: instruction: expected a string that is not empty, got nothing",
      'bad.jsonl:3: colour: expected a key of id, source, repo, language, difficulty, instruction, environment, agent, grader, oracle, got "colour"',
      "bad.jsonl:4: repo: expected a string, got 5",
    ]);
    expect(await refusal("[1, 2\n")).toEqual([
      expect.stringMatching(/^bad.jsonl:1: \(row\): expected one JSON object/),
    ]);
    expect(await refusal("7\n")).toEqual(["bad.jsonl:1: (row): expected an object, got 7"]);
    expect(await refusal(Buffer.from([0x22, 0xff, 0x22]))).toEqual([expect.stringContaining("in UTF-8")]);
  });

  it("tells the nested field of our own schema", async () => {
    const environment = { repository: { type: "ftp", path: "x" }, baseCommit: "abc" };
    expect((await refusal(line(someTask({ environment })))).join("\n")).toContain(
      'bad.jsonl:1: environment.baseCommit: expected a full commit id, 40 hex digits, got "abc"',
    );
    expect((await refusal(line(someTask({ environment })))).join("\n")).toContain("environment.repository");
  });

  it("refuses an id that was there before", async () => {
    expect(await refusal(line(someTask()) + line(someRow()) + line(someTask()))).toEqual([
      'bad.jsonl:3: id: expected an id of its own, got "own-1" of bad.jsonl:1',
    ]);
  });

  it("shows the first twenty problems and counts the others", async () => {
    const lines = await refusal(line(someTask({ instruction: "" })).repeat(25));
    expect(lines).toHaveLength(21);
    expect(lines.at(-1)).toBe("and 5 more");
  });

  it("is an error that names the file when it cannot be read", async () => {
    await expect(readTaskSet(fileSource(join(folder, "none.jsonl")))).rejects.toThrow(
      /expected a readable file of tasks at .*none/,
    );
    await expect(readTaskSet(fileSource(join(folder, "none.jsonl.gz")))).rejects.toThrow(/ENOENT/);
    await expect(read("torn.jsonl.gz", gzipSync(line(someTask())).subarray(0, 40))).rejects.toThrow(/torn.jsonl.gz/);
    await expect(readTaskSet(fileSource(folder))).rejects.toMatchObject({ fault: "invalid" });
  });
});
