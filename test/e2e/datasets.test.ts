import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { someRow } from "../../src/tasks/task.fixture.ts";
import { LoopbackHub, sha256 } from "../support/hub.ts";

const ROOT = join(import.meta.dirname, "../..");
const I0 = join(ROOT, "config/instances_i0.yaml");
const LITE = "SWE-bench/SWE-bench_Lite";
const COMMIT = "9".repeat(40);
const DEV = "data/dev-00000-of-00001.parquet";

let folder: string;
let hub: LoopbackHub;
let dev: Uint8Array;

/** Rows of our own under the names of real ones. */
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "datasets-"));
  hub = await LoopbackHub.open();
  const names = ["sqlfluff__sqlfluff-1517", "sqlfluff__sqlfluff-1625", "sqlfluff__sqlfluff-1733"];
  dev = parquetOf(["sqlfluff__sqlfluff-2419", ...names].map((instance_id) => someRow({ instance_id })));
  const commits = new Map([[COMMIT, new Map([[DEV, { bytes: dev, large: true }]])]]);
  hub.datasets.set(LITE, { branches: { main: COMMIT }, commits, token: "hf_mine" });
  await writeFile(join(folder, "config.yaml"), "tasks: { bundled: false, lock: dataset.lock }\n");
});
afterEach(async () => {
  await hub.close();
  await rm(folder, { recursive: true });
});

function parquetOf(rows: readonly Record<string, unknown>[]): Uint8Array {
  const names = Object.keys(rows[0] ?? {});
  const text = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
  const columnData = names.map((name) => ({ name, data: rows.map((row) => text(row[name])) }));
  return new Uint8Array(parquetWriteBuffer({ columnData }));
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(...args: string[]) {
  const env = {
    PATH: process.env["PATH"],
    HF_ENDPOINT: `${hub.endpoint}/`,
    HF_TOKEN: "hf_mine",
    SANDLOT_STATE: "state",
  };
  const command = [join(ROOT, "src/cli/main.ts"), ...args, "--config", "config.yaml"];
  const { promise: ended, resolve } = Promise.withResolvers<Ended>();
  const child = execFile(process.execPath, command, { cwd: folder, env, timeout: 170_000 }, (_, stdout, stderr) =>
    resolve({ code: child.exitCode, stdout, stderr }),
  );
  return { child, ended };
}

const sandlot = (...args: string[]): Promise<Ended> => start(...args).ended;

const idsOf = ({ stdout }: Ended) => (JSON.parse(stdout) as { id: string }[]).map(({ id }) => id);

describe("data sets on the command line", () => {
  it("are locked by a command, then listed and sliced by what the lock says, and by instances", async () => {
    const unlocked = await sandlot("tasks", "--instances", I0);
    expect(unlocked).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("`sandlot dataset lock") });
    const locked = await sandlot("dataset", "lock", "--dataset", LITE, "--split", "dev");
    expect(locked).toMatchObject({ code: 0, stdout: expect.stringContaining(sha256(dev)) });
    expect(await readFile(join(folder, "dataset.lock"), "utf8")).toContain(`revision: "${COMMIT}"`);
    expect(idsOf(await sandlot("tasks", "--json", "--instances", I0))).toEqual([
      "sqlfluff__sqlfluff-2419",
      "sqlfluff__sqlfluff-1625",
      "sqlfluff__sqlfluff-1733",
    ]);
    const slice = await sandlot("tasks", "--json", "--tasks", `${LITE}:dev`, "--offset", "1", "--limit", "2");
    expect(idsOf(slice)).toEqual(["sqlfluff__sqlfluff-1517", "sqlfluff__sqlfluff-1625"]);
    const listed = await sandlot("dataset", "list", "--json");
    expect(JSON.parse(listed.stdout)).toEqual([
      { dataset: LITE, revision: COMMIT, retrieved: expect.any(String), file: DEV, sha256: sha256(dev) },
    ]);
  });

  it("tell each id of a file of instances that is not in the data set", async () => {
    const i1 = await sandlot(
      "tasks",
      "--instances",
      join(ROOT, "config/instances_i1.yaml"),
      "--tasks",
      `${LITE}@${COMMIT}:dev`,
    );
    expect(i1.code).toBe(1);
    expect(i1.stderr.trim().split("\n")).toHaveLength(5);
    expect(i1.stderr).toMatch(
      new RegExp(
        `instances_i1.yaml: expected ids of rows of ${LITE}@${COMMIT}:dev, got "marshmallow-code__marshmallow-1343"`,
      ),
    );
  });

  it("stop a server whose data differ from the lock", async () => {
    await sandlot("dataset", "lock", "--dataset", LITE);
    const lock = join(folder, "dataset.lock");
    await writeFile(lock, (await readFile(lock, "utf8")).replace(sha256(dev), "0".repeat(64)));
    const server = await sandlot("serve", "--listen", "127.0.0.1:0", "--tasks", `${LITE}:dev`);
    expect(server).toMatchObject({ code: 1, stdout: "" });
    expect(server.stderr).toMatch(new RegExp(`expected the sha256 0{64} of ${DEV} of .*, got ${sha256(dev)}`));
  });

  it("are fetched on from where a killed process left off", async () => {
    hub.troubles.push({ at: /stored/, times: 1, with: { stallAfter: 1_000 } });
    const part = join(folder, "state/datasets/SWE-bench__SWE-bench_Lite", COMMIT, "files", `${DEV}.part`);
    const killed = start("dataset", "lock", "--dataset", LITE);
    await expect
      .poll(
        () =>
          stat(part).then(
            ({ size }) => size,
            () => 0,
          ),
        { timeout: 60_000 },
      )
      .toBe(1_000);
    killed.child.kill("SIGKILL");
    expect((await killed.ended).code).toBeNull();
    expect(await sandlot("dataset", "lock", "--dataset", LITE)).toMatchObject({ code: 0 });
    const ranges = hub.requests.filter(({ path }) => path.includes("/stored/")).map(({ range }) => range);
    expect(ranges).toEqual([undefined, "bytes=1000-"]);
  });

  it("are not waited for by a server that is told to stop", async () => {
    await sandlot("dataset", "lock", "--dataset", LITE);
    await rm(join(folder, "state"), { recursive: true });
    hub.troubles.push({ at: /stored/, times: 1, with: { silence: true } });
    const asked = hub.requests.length;
    const { child, ended } = start("serve", "--listen", "127.0.0.1:0", "--tasks", `${LITE}:dev`);
    await expect
      .poll(() => hub.requests.slice(asked).some(({ path }) => path.includes("/stored/")), { timeout: 60_000 })
      .toBe(true);
    child.kill("SIGTERM");
    expect(await ended).toMatchObject({ code: 1, stderr: expect.stringContaining("told to stop before it served") });
  });

  it("are told wrong by the option that is wrong", async () => {
    const without = await sandlot("tasks", "--limit", "3");
    expect(without).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("are of what --tasks or --instances names"),
    });
    const branch = await sandlot("tasks", "--tasks", `${LITE}@main:dev`);
    expect(branch.stderr).toContain('expected a full commit id, 40 hex digits, after @, got "main"');
    const rule = await sandlot("tasks", "--tasks", `${LITE}:dev`, "--rule", "swebench@3.0.0");
    expect(rule).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("expected swebench@5.0.2 or swebench@4.1.0"),
    });
    const family = await sandlot("tasks", "--tasks", `${LITE}:dev`, "--family", "swe-bunch");
    expect(family.stderr).toMatch(/family: expected one of sandlot, swe-bench, .*harbor, got "swe-bunch"/);
    expect(family.code).toBe(1);
    const action = await sandlot("dataset", "unlock", "--dataset", LITE);
    expect(action).toMatchObject({ code: 2, stderr: expect.stringContaining('got "unlock"') });
  });
});
