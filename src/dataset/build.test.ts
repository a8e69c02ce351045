import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readBundledTasks } from "../tasks/bundled.ts";
import type { Task } from "../tasks/task.ts";
import { type BuildOptions, buildDataset } from "./build.ts";

let folder: string;
let bundled: readonly Task[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "sandlot-dataset-"));
  bundled = await readBundledTasks();
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const ALL = { train: Number.POSITIVE_INFINITY, val: Number.POSITIVE_INFINITY };

function options(more: Partial<BuildOptions> = {}, selection: Partial<BuildOptions["selection"]> = {}): BuildOptions {
  const everything = { repos: new Set<string>(), difficulties: new Set<string>(), ids: undefined, val: 0.4, seed: 3 };
  const selected = { ...everything, ...selection };
  return { folder, format: "verl", most: ALL, failingTests: false, gold: false, ...more, selection: selected };
}

async function* stream(tasks: readonly Task[]): AsyncGenerator<Task> {
  yield* tasks;
}

/** So many tasks like a bundled one. */
async function* many(count: number): AsyncGenerator<Task> {
  const [first] = bundled;
  for (let i = 0; first && i < count; i++) yield { ...first, id: `task-${i}` };
}

interface VerlRow {
  readonly prompt: readonly { role: string; content: string }[];
  readonly extra_info: Readonly<Record<string, unknown>>;
}

async function readVerl(split: string): Promise<VerlRow[]> {
  const file = await asyncBufferFromFile(join(folder, `${split}.parquet`));
  return (await parquetReadObjects({ file })) as VerlRow[]; // what was written
}

const idsOf = async (): Promise<unknown[][]> =>
  Promise.all(["train", "val"].map(async (split) => (await readVerl(split)).map((row) => row.extra_info["task_id"])));

test("verl's columns are there with their types, and nothing that grades the task", async () => {
  await buildDataset(stream(bundled), options());
  const rows = [...(await readVerl("train")), ...(await readVerl("val"))];
  expect(rows.map((row) => row.extra_info["task_id"]).toSorted()).toEqual(bundled.map(({ id }) => id).toSorted());
  const [row] = rows;
  const id = row?.extra_info["task_id"];
  expect(row).toMatchObject({
    data_source: "sandlot/bundled",
    agent_name: "sandlot",
    ability: "code",
    reward_model: { style: "rule", ground_truth: "" },
    extra_info: {
      index: 0n,
      split: "train",
      instance_id: id,
      gold_patch: "",
      need_tools_kwargs: true,
      tools_kwargs: { bash: { create_kwargs: { task_id: id } }, submit_solution: { create_kwargs: { task_id: id } } },
    },
  });
  expect(row?.prompt.map(({ role }) => role)).toEqual(["system", "user"]);
  expect(row?.prompt[0]?.content).toMatch(/`bash` runs[\s\S]*stands at commit [0-9a-f]{40}\.$/);
  const all = rows.map(({ prompt }) => JSON.stringify(prompt)).join();
  for (const { grader } of bundled) for (const name of grader.failToPass) expect(all).not.toContain(name);
});

test("failing tests and gold patches are there when they are asked for", async () => {
  await buildDataset(stream(bundled), options({ failingTests: true, gold: true }));
  for (const row of [...(await readVerl("train")), ...(await readVerl("val"))]) {
    const task = bundled.find(({ id }) => id === row.extra_info["task_id"]);
    expect(row.extra_info["gold_patch"]).toBe(task?.oracle.patch);
    for (const name of task?.grader.failToPass ?? []) expect(row.prompt[1]?.content).toContain(`- ${name}\n`);
    expect(row.prompt[1]?.content).toContain("The goal: all");
  }
});

test("a split depends on the task and the seed alone", async () => {
  await buildDataset(stream(bundled), options());
  const [train, val] = await idsOf();
  await buildDataset(stream(bundled.toReversed()), options());
  expect((await idsOf()).map((ids) => ids.toReversed())).toEqual([train, val]);
  await buildDataset(many(400), options());
  const [, some] = await idsOf();
  await buildDataset(many(600), options());
  const [, more] = await idsOf();
  expect(more?.slice(0, some?.length)).toEqual(some);
  expect((more?.length ?? 0) / 600).toBeCloseTo(0.4, 1);
  await buildDataset(many(400), options({}, { seed: 4 }));
  expect((await idsOf())[1]).not.toEqual(some);
});

test("rows are filtered by difficulty, id and length, and cut off at a number", async () => {
  await buildDataset(stream(bundled), options({}, { difficulties: new Set(["easy"]), val: 0 }));
  expect((await idsOf())[0]).toEqual(bundled.filter(({ difficulty }) => difficulty === "easy").map(({ id }) => id));
  const ids = new Set(bundled.slice(0, 3).map(({ id }) => id));
  await buildDataset(stream(bundled), options({}, { ids, val: 0 }));
  expect((await idsOf())[0]).toEqual([...ids]);
  const lengths = bundled.map(({ instruction }) => instruction.length);
  const maxTokens = lengths.toSorted((a, b) => a - b)[3] ?? 0;
  const count = (prompt: readonly { content: string }[]): number =>
    bundled.find(({ instruction }) => prompt[1]?.content.includes(instruction.trimEnd()))?.instruction.length ?? 0;
  const built = await buildDataset(stream(bundled), options({ prompt: { maxTokens, count } }, { val: 0 }));
  expect([built.tasks, built.tooLong, built.files[0]?.rows]).toEqual([8, 4, 4]);
  await buildDataset(many(500), options({ most: { train: 10, val: 2 } }));
  expect((await idsOf()).map((each) => each.length)).toEqual([10, 2]);
});

test("JSON lines have the rows of the other trainers", async () => {
  const columns = { trl: "prompt", skyrl: "prompt", "nemo-gym": "responses_create_params", jsonl: "messages" } as const;
  for (const format of ["trl", "skyrl", "nemo-gym", "jsonl"] as const) {
    await buildDataset(stream(bundled), options({ format }));
    const lines = readFileSync(join(folder, "train.jsonl"), "utf8").trimEnd().split("\n");
    const row = JSON.parse(lines[0] ?? "") as Record<string, unknown>;
    const extra = format === "skyrl" ? (row["extra_info"] as Record<string, unknown>) : row;
    expect(bundled.map(({ id }) => id)).toContain(extra["task_id"]);
    expect(Object.keys(row)).toContain(columns[format]);
    if (format === "nemo-gym")
      expect(row["responses_create_params"]).toMatchObject({ tools: [{ type: "function", name: "bash" }, {}, {}] });
    if (format === "jsonl") expect(JSON.stringify(row["tools"])).toContain('"name":"bash"');
  }
});

test("a split without rows, or a set that turns out to be broken, changes nothing that was there", async () => {
  await buildDataset(stream(bundled), options());
  const before = await idsOf();
  await expect(buildDataset(stream(bundled.slice(0, 1)), options())).rejects.toThrow(/expected rows for/);
  async function* broken(): AsyncGenerator<Task> {
    yield* bundled;
    throw new Error("line 9 is no row");
  }
  await expect(buildDataset(broken(), options())).rejects.toThrow("line 9 is no row");
  expect(await idsOf()).toEqual(before);
  expect(readdirSync(folder).toSorted()).toEqual(["train.parquet", "val.parquet"]);
});

test("five thousand rows are written in groups and read back whole", async () => {
  await buildDataset(many(5000), options({}, { val: 0 }));
  expect((await readVerl("train")).map((row) => row.extra_info["index"])).toEqual(
    Array.from({ length: 5000 }, (_, i) => BigInt(i)),
  );
});
