import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readInstances } from "./instances.ts";

const CONFIG = join(import.meta.dirname, "../../config");

describe("a file of instances", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "instances-"));
  });
  afterAll(() => rm(folder, { recursive: true }));
  const read = async (text: string) => {
    await writeFile(join(folder, "ids.yaml"), text);
    return readInstances(join(folder, "ids.yaml"));
  };

  it("names a data set and ids by split", async () => {
    const { dataset, splits, ids } = await read("dataset: a/b\ninstances:\n  dev: [x-1, x-2]\n  test: [y-1]\n");
    expect({ dataset, splits, ids: [...ids] }).toEqual({
      dataset: "a/b",
      splits: ["dev", "test"],
      ids: ["x-1", "x-2", "y-1"],
    });
  });

  it("is refused with the file, the field and what was expected", async () => {
    await expect(read("dataset: a/b\n")).rejects.toThrow(/ids.yaml: instances: expected an object, got nothing/);
    await expect(read("dataset: a/b\ninstances: {}\n")).rejects.toThrow(/expected at least one split with ids/);
    await expect(read("dataset: a/b\ninstances: {dev: []}\n")).rejects.toThrow(/instances.dev: expected/);
    await expect(read("dataset: a/b\ninstances: {dev: ['a b']}\n")).rejects.toThrow(/instances.dev.0: .*"a b"/);
    await expect(read("dataset: a/b\ninstances: {dev: [x], test: [x]}\n")).rejects.toThrow(
      /each id once, got "x" twice/,
    );
    await expect(read("dataset: [\n")).rejects.toThrow(/readable YAML file of instances at .*ids.yaml/);
    await expect(readInstances(join(folder, "none.yaml"))).rejects.toMatchObject({ fault: "invalid" });
  });

  it("comes with Sandlot for i0, i1 and i3, each a slice that the next one holds", async () => {
    const names = (await readdir(CONFIG)).filter((name) => name.startsWith("instances_")).sort();
    expect(names).toEqual(["instances_i0.yaml", "instances_i1.yaml", "instances_i3.yaml"]);
    const [i0, i1, i3] = await Promise.all(names.map((name) => readInstances(join(CONFIG, name))));
    if (!i0 || !i1 || !i3) expect.fail("three files were read");
    expect([i0.ids.size, i1.ids.size, i3.ids.size]).toEqual([3, 8, 19]);
    expect([...i0.ids].filter((id) => !i1.ids.has(id))).toEqual([]);
    expect([...i1.ids].filter((id) => !i3.ids.has(id))).toEqual([]);
  });
});
