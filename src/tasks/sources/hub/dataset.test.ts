import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type HubFile, LoopbackHub, sha256 } from "../../../../test/support/hub.ts";
import type { Source } from "../source.ts";
import { HubCache } from "./cache.ts";
import { datasetSource, lockedNow } from "./dataset.ts";
import { readLock, writeLock } from "./dataset-lock.ts";
import { Hub, type HubOptions } from "./hub.ts";
import { parseReference } from "./reference.ts";

const FILES = join(import.meta.dirname, "../../../../test/fixtures/parquet");
const ID = "acme/tasks";
const [FIRST, SECOND] = ["a".repeat(40), "b".repeat(40)];
const DEV = "data/dev-00000-of-00001.parquet";

let folder: string;
let hub: LoopbackHub;
let dev: Uint8Array;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hub-"));
  hub = await LoopbackHub.open();
  dev = await readFile(join(FILES, "zstd.parquet"));
  const small = Buffer.from('{"id":"x-1"}\n{"id":"x-2"}\n');
  const files: [string, HubFile][] = [
    ["README.md", { bytes: Buffer.from("# Tasks") }],
    [DEV, { bytes: dev, large: true }],
    ["data/test-00000-of-00002.parquet", { bytes: await readFile(join(FILES, "snappy.parquet")), large: true }],
    ["data/test-00001-of-00002.parquet", { bytes: await readFile(join(FILES, "gzip.parquet")), large: true }],
    ["extra/ä b#1/rows.jsonl", { bytes: small }],
  ];
  const commits = new Map([[FIRST, new Map(files)]]);
  commits.set(SECOND, new Map([...files, [DEV, { bytes: await readFile(join(FILES, "none.parquet")), large: true }]]));
  hub.datasets.set(ID, { branches: { main: FIRST, "refs/convert/parquet": FIRST }, commits });
});
afterEach(async () => {
  await hub.close();
  await rm(folder, { recursive: true });
});

const access = async (options: Partial<HubOptions> = {}) => ({
  cache: new HubCache({
    hub: new Hub({ endpoint: hub.endpoint, pauseMs: 1, ...options }),
    folder: join(folder, "cache"),
  }),
  lock: await readLock(join(folder, "dataset.lock")),
});
function reference(text: string) {
  return parseReference(text) ?? expect.fail(`${text} is no data set`);
}
const open = async (text: string, options?: Partial<HubOptions>) =>
  datasetSource(reference(text), await access(options));
const lockMain = async () => {
  const { cache, lock } = await access();
  const entry = await lockedNow(ID, { branch: "main", references: [reference(`${ID}:dev`)] }, { cache, lock });
  await writeLock({ ...lock, datasets: new Map([[ID, entry]]) });
};

async function ids(source: Source): Promise<string[]> {
  const found: string[] = [];
  for await (const { place, row } of source.rows()) {
    const value = row.ok ? (row.value as { id?: string; instance_id?: string }) : {};
    found.push(`${place} ${value.instance_id ?? value.id}`);
  }
  return found;
}

describe("a data set on the hub", () => {
  it("is read split by split at a commit, with the place of each row", async () => {
    const source = await open(`${ID}@${FIRST}:test`);
    expect(source.origin).toMatchObject({ dataset: ID, revision: FIRST, split: "test" });
    const rows = await ids(source);
    expect(rows).toHaveLength(10);
    expect(rows[0]).toBe(`${ID}@${FIRST}/data/test-00000-of-00002.parquet[0] acme__tool-0`);
    expect(rows[9]).toBe(`${ID}@${FIRST}/data/test-00001-of-00002.parquet[4] acme__tool-4`);
  });

  it("also gives files by their names, whatever is in them", async () => {
    expect(await ids(await open(`${ID}@${FIRST}:extra/**/*.jsonl`))).toEqual([
      `${ID}@${FIRST}/extra/ä b#1/rows.jsonl:1 x-1`,
      `${ID}@${FIRST}/extra/ä b#1/rows.jsonl:2 x-2`,
    ]);
    await expect(open(`${ID}@${FIRST}:none/*.json`)).rejects.toThrow(/expected files of the data set that match none/);
  });

  it("tells the splits that there are", async () => {
    await expect(open(`${ID}@${FIRST}:validation`)).rejects.toThrow(
      /acme\/tasks@a+:validation: expected one of the splits dev, test, train of the data set, got "validation"/,
    );
    await expect(open(`${ID}@${FIRST}`)).rejects.toThrow(/expected one of the splits dev, test.*, got none/);
  });

  it("follows the card of the data set", async () => {
    const before = hub.datasets.get(ID) ?? expect.fail();
    const configs = [
      { config_name: "all", data_files: [{ split: "both", path: ["data/dev-*", "data/test-*"] }] },
      { config_name: "small", default: true, data_files: "extra/**" },
      { config_name: "odd", data_dir: "x" },
    ];
    hub.datasets.set(ID, { ...before, card: { configs } });
    expect(await ids(await open(`${ID}@${FIRST}`))).toHaveLength(2);
    expect(await ids(await open(`${ID}@${FIRST}:all/both`))).toHaveLength(15);
    await expect(open(`${ID}@${FIRST}:big/both`)).rejects.toThrow(/one of the configurations all, small, got "big"/);
  });

  it("needs no hub once it is in the cache", async () => {
    await lockMain();
    await hub.close();
    expect(await ids(await open(`${ID}:dev`))).toHaveLength(5);
    hub = await LoopbackHub.open();
  });

  it("may have moved to another name", async () => {
    hub.renamed.set("old/tasks", ID);
    expect(await ids(await open(`old/tasks@${FIRST}:dev`))).toHaveLength(5);
  });
});

describe("the lock of data sets", () => {
  it("says what to do where a data set is not in it", async () => {
    await expect(open(`${ID}:dev`)).rejects.toThrow(
      /dataset.lock: expected an entry for acme\/tasks, or a commit id after @, got none: `sandlot dataset lock --dataset acme\/tasks` adds one/,
    );
    expect(hub.requests).toEqual([]);
  });

  it("holds the commit, the day and the sha256 of each file, and pins what is served", async () => {
    await lockMain();
    const { lock } = await access();
    const entry = lock.datasets.get(ID);
    expect(entry).toMatchObject({ revision: FIRST, files: { [DEV]: sha256(dev) } });
    expect(entry?.retrieved).toBe(new Date().toISOString().slice(0, 10));
    const moved = hub.datasets.get(ID) ?? expect.fail();
    hub.datasets.set(ID, { ...moved, branches: { main: SECOND } });
    expect((await open(`${ID}:dev`)).origin.revision).toBe(FIRST);
    await lockMain();
    expect((await open(`${ID}:dev`)).origin.revision).toBe(SECOND);
  });

  it("stops another commit, naming both", async () => {
    await lockMain();
    await expect(open(`${ID}@${SECOND}:dev`)).rejects.toThrow(
      new RegExp(`dataset.lock: expected acme/tasks at the locked revision ${FIRST}, got ${SECOND}: .*updates it`),
    );
  });

  it("stops other content, naming both sums", async () => {
    await lockMain();
    const file = join(folder, "dataset.lock");
    await writeFile(file, (await readFile(file, "utf8")).replace(sha256(dev), "c".repeat(64)));
    await expect(open(`${ID}:dev`)).rejects.toThrow(
      new RegExp(`expected the sha256 ${"c".repeat(64)} of ${DEV} of acme/tasks@${FIRST}, got ${sha256(dev)}`),
    );
  });

  it("stops a file that is not in it", async () => {
    await lockMain();
    await expect(open(`${ID}:test`)).rejects.toThrow(/expected a sha256 for data\/test-00000-of-00002.parquet/);
  });

  it("keeps what the same commit has locked before", async () => {
    await lockMain();
    const { cache, lock } = await access();
    const references = [reference(`${ID}:test`)];
    const entry = await lockedNow(ID, { branch: FIRST, references }, { cache, lock });
    expect(Object.keys(entry.files)).toHaveLength(3);
  });

  it("is refused with its file and field when it cannot be understood", async () => {
    const file = join(folder, "dataset.lock");
    await writeFile(file, "datasets: {a/b: {revision: main, retrieved: 2026-01-01, files: {}}}\n");
    await expect(open(`${ID}:dev`)).rejects.toThrow(/dataset.lock: datasets.a\/b.revision: expected a full commit id/);
    await writeFile(file, "datasets: [\n");
    await expect(open(`${ID}:dev`)).rejects.toThrow(/readable lock file at .*dataset.lock/);
  });
});

describe("fetching from the hub", () => {
  const got = async (options?: Partial<HubOptions>) => ids(await open(`${ID}@${FIRST}:dev`, options));
  const ofFile = () => hub.requests.filter(({ path }) => path.includes("/stored/"));

  it("goes on where a connection broke", async () => {
    hub.troubles.push({ at: /stored/, times: 2, with: { cutAfter: 2_000 } });
    expect(await got()).toHaveLength(5);
    expect(ofFile().map(({ range }) => range)).toEqual([undefined, "bytes=2000-", "bytes=4000-"]);
  });

  it("goes on where an earlier process was killed, and begins anew when that left something else", async () => {
    await got();
    const path = join(folder, "cache/acme__tasks", FIRST, "files", DEV);
    for (const left of [dev.subarray(0, 5_000), Buffer.alloc(5_000), Buffer.alloc(dev.length + 9)]) {
      await rm(path);
      await writeFile(`${path}.part`, left);
      expect(await got()).toHaveLength(5);
      expect(await readFile(path)).toEqual(Buffer.from(dev));
    }
    expect((await readdir(join(path, ".."))).filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  it("fetches a file of the cache again that is no longer what it was", async () => {
    await got();
    await truncate(join(folder, "cache/acme__tasks", FIRST, "files", DEV), 100);
    expect(await got()).toHaveLength(5);
  });

  it("works for several at once", async () => {
    const both = await Promise.all([got(), got(), got()]);
    expect(both.map((rows) => rows.length)).toEqual([5, 5, 5]);
  });

  it("never serves content that is not what the hub lists", async () => {
    const dataset = hub.datasets.get(ID) ?? expect.fail();
    const { cache } = await access();
    const listing = await cache.resolve(ID, FIRST);
    const files = new Map(dataset.commits.get(FIRST));
    files.set("extra/ä b#1/rows.jsonl", { bytes: Buffer.from('{"id":"y-1"}\n{"id":"y-2"}\n') });
    hub.datasets.set(ID, { ...dataset, commits: new Map([[FIRST, files]]) });
    const listed = listing.files.find(({ path }) => path.startsWith("extra")) ?? expect.fail();
    await expect(cache.file(ID, FIRST, listed)).rejects.toThrow(
      /expected content with the digest git:\w{40}, got git:\w{40}/,
    );
    await expect(readFile(join(cache.folderOf(ID, FIRST), listed.path))).rejects.toThrow(/ENOENT/);
  });

  it.each([
    ["429 with Retry-After", { status: 429, headers: { "retry-after": "0" } }],
    ["429 with RateLimit", { status: 429, headers: { ratelimit: '"api";r=0;t=0' } }],
    ["500", { status: 500 }],
    ["503", { status: 503 }],
    ["a reset connection", { reset: true as const }],
  ])("tries again after %s", async (_, trouble) => {
    hub.troubles.push({ at: /\/revision\//, times: 2, with: trouble }, { at: /stored/, times: 2, with: trouble });
    expect(await got()).toHaveLength(5);
  });

  it("tries again after a silence, before an answer and in the middle of one", async () => {
    hub.troubles.push({ at: /tree/, times: 1, with: { silence: true } });
    hub.troubles.push({ at: /stored/, times: 1, with: { stallAfter: 3_000 } });
    expect(await got({ deadlineMs: 2_500 })).toHaveLength(5);
    expect(ofFile().map(({ range }) => range)).toEqual([undefined, "bytes=3000-"]);
  });

  it("gives up after five tries, or at once when the hub wants to be left alone for long", async () => {
    hub.troubles.push({ at: /\/revision\//, times: 5, with: { status: 502 } });
    await expect(got()).rejects.toThrow(/revision.*: the hub answers 502 \(Bad Gateway\), after 5 tries/);
    hub.troubles.push({ at: /\/revision\//, times: 1, with: { status: 429, headers: { "retry-after": "3600" } } });
    await expect(got()).rejects.toThrow(/the hub answers 429 .*; it asks for 3600 s of patience, after 1 tries/);
    await hub.close();
    await expect(got()).rejects.toMatchObject({ fault: "sandbox", message: expect.stringContaining("ECONNREFUSED") });
    hub = await LoopbackHub.open();
  });

  it("says what 401, 403 and 404 mean, without trying again", async () => {
    await expect(open(`nobody/nothing@${FIRST}:dev`)).rejects.toThrow(
      /got 401 \(Invalid username.*HF_TOKEN is not set/,
    );
    hub.troubles.push({ at: /revision/, times: 1, with: { status: 403, headers: { "x-error-code": "GatedRepo" } } });
    await expect(got({ token: "hf_wrong" })).rejects.toThrow(
      /got 403 \(GatedRepo\).*the HF_TOKEN that is set does not/,
    );
    await expect(open(`${ID}@${"d".repeat(40)}:dev`)).rejects.toThrow(/revision\/d+, got 404 \(Invalid rev id/);
    expect(hub.requests).toHaveLength(3);
  });

  it("shows the token to the hub and to nobody that it redirects to", async () => {
    const dataset = hub.datasets.get(ID) ?? expect.fail();
    hub.datasets.set(ID, { ...dataset, token: "hf_secret" });
    expect(await got({ token: "hf_secret" })).toHaveLength(5);
    const shown = hub.requests.map(({ path, authorization }) => [path.includes("/stored/"), authorization]);
    expect(new Set(shown.map(([stored, token]) => `${stored} ${token}`))).toEqual(
      new Set(["false Bearer hf_secret", "true undefined"]),
    );
  });

  it("is ended by its signal", async () => {
    const stop = new AbortController();
    hub.troubles.push({ at: /stored/, times: 1, with: { silence: true } });
    const fetching = got({ signal: stop.signal });
    await expect.poll(() => ofFile().length).toBe(1);
    stop.abort(new Error("enough"));
    await expect(fetching).rejects.toThrow("enough");
  });

  it("asks nobody else for further pages, as a mirror names the hub that it mirrors", async () => {
    hub.pagesAt = "http://10.255.255.1:9";
    expect(await got({ deadlineMs: 20_000 })).toHaveLength(5);
    expect(hub.requests.filter(({ path }) => path.includes("cursor=")).length).toBeGreaterThan(0);
  });

  it("is refused a file whose path leads out of the data set", async () => {
    const dataset = hub.datasets.get(ID) ?? expect.fail();
    const files = new Map([["../../../escaped.jsonl", { bytes: Buffer.from("{}") }]]);
    hub.datasets.set(ID, { ...dataset, commits: new Map([[SECOND, files]]) });
    await expect(open(`${ID}@${SECOND}:train`)).rejects.toThrow(
      /files inside the data set, got one at \.\.\/\.\.\/\.\./,
    );
  });

  it("ends when what answers is no hub", async () => {
    hub.troubles.push({ at: /\/revision\//, times: 1, with: { status: 200 } });
    await expect(got()).rejects.toThrow(/expected an answer of the hub's interface from .*, got no JSON/);
  });
});
