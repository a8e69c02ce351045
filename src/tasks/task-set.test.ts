import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ROWS } from "./families/rows.fixture.ts";
import { fileSource } from "./sources/file.ts";
import type { Source } from "./sources/source.ts";
import { someRow, someTask } from "./task.fixture.ts";
import { readTaskSet, type TaskSet } from "./task-set.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tasks-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(name: string, content: string | Uint8Array) {
  await writeFile(join(folder, name), content);
  return readTaskSet({ sources: [fileSource(join(folder, name))] });
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
      'bad.jsonl:3: colour: expected a key of id, source, repo, language, difficulty, instruction, kind, environment, needs, agent, grader, oracle, got "colour"',
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
      'bad.jsonl:1: environment.baseCommit: expected a full commit id, 40 hex digits, or refs/heads/NAME, refs/tags/NAME or HEAD, got "abc"',
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
    await expect(readTaskSet({ sources: [fileSource(join(folder, "none.jsonl"))] })).rejects.toThrow(
      /expected a readable file of tasks at .*none/,
    );
    await expect(readTaskSet({ sources: [fileSource(join(folder, "none.jsonl.gz"))] })).rejects.toThrow(/ENOENT/);
    await expect(read("torn.jsonl.gz", gzipSync(line(someTask())).subarray(0, 40))).rejects.toThrow(/torn.jsonl.gz/);
    await mkdir(join(folder, "folder.jsonl"));
    const ofFolder = readTaskSet({ sources: [fileSource(join(folder, "folder.jsonl"))] });
    await expect(ofFolder).rejects.toMatchObject({ fault: "invalid" });
    expect(() => fileSource(folder)).toThrow(/expected a file that ends in .jsonl/);
  });
});

describe("a file of another format", () => {
  it("is told by its ending: a JSON list, or JSON lines that end in .json", async () => {
    const rows = JSON.stringify([someTask(), someRow()], undefined, 2);
    expect((await read("list.json", `\n ${rows}`)).map(({ id }) => id)).toEqual(["own-1", "acme__tool-1"]);
    expect((await read("list.json.gz", gzipSync(rows))).map(({ id }) => id)).toEqual(["own-1", "acme__tool-1"]);
    expect((await read("lines.json", line(someTask()) + line(someRow()))).map(({ id }) => id)).toHaveLength(2);
    const mark = "\ufeff";
    expect(await read("marked.json", `${mark}${rows}`)).toHaveLength(2);
    expect(await read("marked.jsonl", `${mark}${line(someTask())}\r\n${line(someRow())}`)).toHaveLength(2);
    expect(await read("one.json", `${mark}${JSON.stringify(someTask(), undefined, 2)}`)).toHaveLength(1);
    await expect(read("torn.json", '{\n  "id": "x",\n')).rejects.toThrow(
      /torn.json: expected one JSON list in UTF-8, or one object/,
    );
  });

  it("is Parquet, with the same tasks in it as the JSON of the same rows", async () => {
    const rows = [someRow(), someRow({ instance_id: "acme__tool-2" })];
    const columns = Object.keys(someRow()).map((name) => ({
      name,
      data: rows.map((row) => (typeof row[name] === "string" ? row[name] : JSON.stringify(row[name]))),
    }));
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData: columns }));
    expect(await read("same.parquet", bytes)).toEqual(await read("same.json", JSON.stringify(rows)));
  });

  it("tells the index of a bad row", async () => {
    await expect(read("bad.json", JSON.stringify([someTask(), 7]))).rejects.toThrow(
      /bad.json\[1\]: \(row\): expected an object, got 7$/,
    );
    await expect(read("torn.json", '[{"id": 1}, {')).rejects.toThrow(
      /torn.json: expected one JSON list in UTF-8, or one object, or one on each line, got /,
    );
  });

  it("is refused by the ending that is not known", async () => {
    await expect(read("rows.csv", "a,b")).rejects.toThrow(
      /expected a file that ends in .jsonl, .*.parquet, got ".*csv"/,
    );
  });
});

describe("a slice of task sets", () => {
  const ids = ["a-1", "a-2", "a-3", "b-1", "b-2"];
  let sources: readonly Source[];
  beforeAll(async () => {
    for (const name of ["a", "b"]) {
      const rows = ids.filter((id) => id.startsWith(name)).map((id) => line(someTask({ id })));
      await writeFile(join(folder, `${name}.jsonl`), rows.join(""));
    }
    sources = ["a", "b"].map((name) => fileSource(join(folder, `${name}.jsonl`)));
  });
  const taken = async (slice: Omit<TaskSet, "sources">) =>
    (await readTaskSet({ sources, ...slice })).map(({ id }) => id);
  const named = (...wanted: string[]) => ({ name: "ids.yaml", dataset: "x/y", splits: ["dev"], ids: new Set(wanted) });

  it("counts over all sources in a row", async () => {
    expect(await taken({ offset: 2, limit: 2 })).toEqual(["a-3", "b-1"]);
    expect(await taken({ offset: 4 })).toEqual(["b-2"]);
    expect(await taken({ offset: 9 })).toEqual([]);
    expect(await taken({ limit: 1 })).toEqual(["a-1"]);
  });

  it("takes the named rows in the order of the sources, and counts those", async () => {
    expect(await taken({ instances: named("b-2", "a-2") })).toEqual(["a-2", "b-2"]);
    expect(await taken({ instances: named("b-2", "a-2"), offset: 1 })).toEqual(["b-2"]);
    expect(await taken({ instances: named("b-2", "a-2"), limit: 1 })).toEqual(["a-2"]);
  });

  it("names each id that is not in it, also behind a limit", async () => {
    const wrong = taken({ instances: named("a-1", "a-9"), limit: 1 });
    await expect(wrong).rejects.toThrow(/^ids.yaml: expected ids of rows of .*a.jsonl, .*b.jsonl, got "a-9"$/);
    await expect(wrong).rejects.toMatchObject({ fault: "invalid", facts: { field: "tasks" } });
  });

  it("does not mind what is wrong with rows that it leaves out", async () => {
    await writeFile(join(folder, "mixed.jsonl"), `{"id": "bad-1"}\nnot json\n${line(someTask())}`);
    const mixed = { sources: [fileSource(join(folder, "mixed.jsonl"))] };
    expect(await readTaskSet({ ...mixed, instances: named("own-1") })).toHaveLength(1);
    expect(await readTaskSet({ ...mixed, offset: 2 })).toHaveLength(1);
    await expect(readTaskSet({ ...mixed, instances: named("bad-1") })).rejects.toThrow(/mixed.jsonl:1: instruction/);
  });
});

describe("the rule of a set", () => {
  it("is for rows of SWE-bench and no others", async () => {
    await writeFile(join(folder, "ruled.jsonl"), line(someRow()) + line(someTask()));
    const sources = [fileSource(join(folder, "ruled.jsonl"))];
    const [row] = await readTaskSet({ sources, rule: "swebench@4.1.0", limit: 1 });
    expect(row?.grader.rule).toBe("swebench@4.1.0");
    await expect(readTaskSet({ sources, rule: "swebench@4.1.0" })).rejects.toThrow(
      /ruled.jsonl:2: rule: expected none of its own for a row of sandlot, got swebench@4.1.0$/,
    );
    expect(await readTaskSet({ sources })).toHaveLength(2);
  });
});

describe("what others publish", () => {
  const origin = { folder: "/copy", dataset: "a/b", revision: "a".repeat(40), split: "dev" };
  const published = (row: unknown, set: Pick<TaskSet, "family" | "harness"> = {}) => {
    async function* rows() {
      yield { place: "a/b[0]", row: { ok: true as const, value: row } };
    }
    return readTaskSet({ sources: [{ name: "a/b", origin, rows }], ...set });
  };
  const refused = /^a\/b\[0\]: environment: expected no path of this host in a data set of the hub, got /;

  it("names no path of this host", async () => {
    const environment = { repository: { type: "name", name: "a/b" }, baseCommit: "a".repeat(40) };
    expect(await published(someTask({ environment }))).toHaveLength(1);
    const whole = someTask({ environment: { ...environment, rootfs: { type: "directory", path: "/" } } });
    await expect(published(whole)).rejects.toThrow(/got "\/"$/);
    await expect(published(whole)).rejects.toThrow(refused);
    await expect(published(someRow({ repository: "../../clones/x" }))).rejects.toThrow(refused);
  });

  it.each(Object.entries(ROWS))("names none in a row of %s either, but within the harness", async (_, row) => {
    const [task] = await published(row, { harness: "/harness" });
    expect(task?.source.dataset).toBe("a/b");
    for (const repository of ["/etc", "../etc.fast-export"]) {
      await expect(published({ ...row, repository })).rejects.toThrow(refused);
    }
  });

  it("names nothing beside the harness by an id that is a path", async () => {
    const outside = published(
      { ...ROWS["swe-bench-pro"], instance_id: "instance_../../../etc" },
      { harness: "/harness" },
    );
    await expect(outside).rejects.toThrow(/^a\/b\[0\]: instance_id: expected /);
  });
});
