import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parquet } from "./parquet.ts";
import type { SourceRow } from "./source.ts";

/** Written by another implementation: see `make.py` there. */
const FILES = join(import.meta.dirname, "../../../test/fixtures/parquet");

const rowsOf = (codec: string): Promise<SourceRow[]> => all(parquet(join(FILES, `${codec}.parquet`), "f"));

describe("a Parquet file", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "parquet-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it.each(["none", "snappy", "gzip", "brotli", "zstd"])(
    "gives the rows that its JSON form has, packed by %s",
    async (codec) => {
      const expected: unknown = JSON.parse(await readFile(join(FILES, "rows.json"), "utf8"));
      const rows = await rowsOf(codec);
      expect(rows.map(({ row }) => (row.ok ? row.value : row.problems))).toEqual(expected);
    },
  );

  it("tells the place of each row across row groups", async () => {
    expect((await rowsOf("snappy")).map(({ place }) => place)).toEqual(["f[0]", "f[1]", "f[2]", "f[3]", "f[4]"]);
  });

  it("is a clear error when it is packed otherwise, damaged, cut short or none", async () => {
    await expect(rowsOf("lz4")).rejects.toThrow(/readable file of tasks at .*lz4.parquet, got .*LZ4/);
    const whole = await readFile(join(FILES, "zstd.parquet"));
    const bad = async (name: string, bytes: Uint8Array) => {
      await writeFile(join(folder, name), bytes);
      return all(parquet(join(folder, name), name));
    };
    await expect(bad("short.parquet", whole.subarray(0, 700))).rejects.toMatchObject({ fault: "invalid" });
    await expect(bad("empty.parquet", new Uint8Array())).rejects.toThrow(/empty.parquet/);
    const damaged = Buffer.from(whole);
    damaged.fill(0x55, 40, 400);
    await expect(bad("damaged.parquet", damaged)).rejects.toMatchObject({
      fault: "invalid",
      facts: { field: "tasks" },
    });
    await expect(all(parquet(join(folder, "none.parquet"), "none"))).rejects.toThrow(/ENOENT/);
  });
});

async function all(rows: AsyncIterable<SourceRow>): Promise<SourceRow[]> {
  const list: SourceRow[] = [];
  for await (const row of rows) list.push(row);
  return list;
}
