import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fileSource } from "../tasks/sources/file.ts";
import { tailOf } from "./result.ts";
import { readSeeds } from "./seed.ts";

describe("a file of seeds", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "seeds-"));
  });
  afterAll(() => rm(folder, { recursive: true }));
  const read = async (...rows: readonly object[]) => {
    await writeFile(join(folder, "seeds.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
    return readSeeds(fileSource(join(folder, "seeds.jsonl")));
  };
  const one = { task_id: "one", repo: "a/b", ref: "main", pytest_k: "x" };

  it("has a repository, a commit and maybe an expression for pytest", async () => {
    const { pytest_k: _, ...without } = one;
    expect([...(await read(one, { ...without, task_id: "two" })).values()]).toEqual([
      one,
      { ...one, task_id: "two", pytest_k: null },
    ]);
  });

  it("is refused with each problem by line and field", async () => {
    const wrong = read({ ...one, repo: "../b" }, one, { ...one, colour: 1 }, { ...one, ref: "--upload-pack=x" }, one);
    await expect(wrong).rejects.toMatchObject({ fault: "invalid" });
    const lines = await wrong.catch((error: Error) => error.message.split("\n"));
    expect(lines).toEqual([
      expect.stringMatching(/seeds.jsonl:1: repo: expected owner\/name, got "..\/b"$/),
      expect.stringMatching(/seeds.jsonl:3: colour: expected a key of /),
      expect.stringMatching(/seeds.jsonl:4: ref: expected a commit id, a tag or a branch, got "--upload-pack=x"$/),
      expect.stringMatching(/seeds.jsonl:5: task_id: expected an id of its own, got one again$/),
    ]);
  });

  it("comes with Sandlot, each seed pinned to a commit", async () => {
    const seeds = [
      ...(await readSeeds(fileSource(join(import.meta.dirname, "../../config/seed_tasks.jsonl")))).values(),
    ];
    expect(seeds.length).toBeGreaterThanOrEqual(5);
    expect(seeds.filter(({ ref }) => !/^[0-9a-f]{40}$/.test(ref))).toEqual([]);
  });
});

describe("the tail of an output", () => {
  it("is the whole of a short one, without its blank end", () => {
    expect(tailOf(Buffer.from("a\nb\n\n"))).toBe("a\nb");
  });

  it("begins with a whole line where there is one", () => {
    expect(tailOf(Buffer.from(`${"x".repeat(1_500)}\n${"y".repeat(600)}\nz\n`))).toBe(`${"y".repeat(600)}\nz`);
    expect(tailOf(Buffer.alloc(5_000, "x"))).toBe("x".repeat(2_000));
  });
});
