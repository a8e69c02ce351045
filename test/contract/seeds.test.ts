import { randomBytes } from "node:crypto";
import { chmod, mkdir, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Environment } from "../../src/environments/environment.ts";
import type { Backend } from "../../src/sandbox/sandbox.ts";
import { runSeed } from "../../src/seeds/run.ts";
import type { Seed } from "../../src/seeds/seed.ts";
import { BUDGETS, type Budgets } from "../../src/seeds/stages.ts";
import { availableVariants, newPlace, type Place } from "../support/backends.ts";
import { commit, git } from "../support/git-fixture.ts";
import { leftovers } from "../support/leftovers.ts";

const isolated = (await availableVariants()).find((variant) => variant.options.type === "oci");
if (isolated === undefined) console.warn("runs of seeds are skipped: no backend that isolates works here");

/** Stands in for Python: what it is to do lies in the project. */
const PYTHON = `#!/bin/bash
case $2 in
  pip) exec bash ./install.sh ;;
  pytest) exec bash ./tests.sh "$@" ;;
esac
`;

describe.skipIf(isolated === undefined)("a run of a seed", () => {
  let place: Place;
  let backend: Backend;
  let workbench: Environment;

  beforeAll(async () => {
    if (isolated === undefined) return;
    place = newPlace(isolated);
    backend = await place.open();
    const layer = join(place.stateDir, "..", "workbench");
    await mkdir(join(layer, "opt/workbench/bin"), { recursive: true });
    await mkdir(join(layer, "workspace"));
    await writeFile(join(layer, "opt/workbench/bin/python"), PYTHON);
    await chmod(join(layer, "opt/workbench/bin/python"), 0o755);
    const env = { PATH: "/opt/workbench/bin:/usr/bin:/bin", HOME: "/root" };
    const facts = { key: "k", baseCommit: "0".repeat(40), seal: "0".repeat(40), preparedMs: 0 };
    workbench = { ...facts, rootfs: { type: "host" }, layers: [layer], binds: [], workdir: "/workspace", env };
  });
  afterAll(async () => {
    expect(await backend.list()).toEqual([]);
    await backend.close();
    expect(leftovers(place.stateDir, place.instance)).toEqual([]);
    await place[Symbol.asyncDispose]();
  });

  /** A repository with these two scripts, and what its run comes to. */
  async function runOf(
    scripts: { readonly install?: string; readonly tests?: string },
    options: {
      readonly ref?: string;
      readonly k?: string;
      readonly patch?: string;
      readonly budgets?: Partial<Budgets>;
    } = {},
  ) {
    const folder = join(place.stateDir, "..", randomBytes(4).toString("hex"));
    await mkdir(folder);
    await git(folder, "init", "--quiet", "--initial-branch=main");
    const { install = "true\n", tests = "true\n" } = scripts;
    await commit(folder, { "setup.py": "", "install.sh": install, "tests.sh": tests, value: "1\n" }, "one");
    await git(folder, "tag", "v1");
    await git(folder, "branch", "side");
    const scratch = join(place.stateDir, "seeds", randomBytes(4).toString("hex"));
    const seed: Seed = { task_id: "one", repo: "acme/tool", ref: options.ref ?? "v1", pytest_k: options.k ?? null };
    const result = await runSeed(seed, {
      ...{ backend, workbench, scratch, origin: { path: folder } },
      newId: () => `sandlot-${place.instance}-${randomBytes(16).toString("hex")}`,
      limits: { memoryMiB: 256, cpuMilli: 2_000, pids: 64, diskMiB: 256 },
      packages: { indexes: [], env: {}, binds: [] },
      maxDiff: { bytes: 0, files: 1, hunks: 0 },
      budgets: { ...BUDGETS, ...options.budgets },
      signal: AbortSignal.timeout(170_000),
      ...(options.patch !== undefined && { patch: Buffer.from(options.patch) }),
    });
    expect(await readdir(dirname(scratch))).toEqual([]);
    return result;
  }

  test("gives the compact result, in that order", async () => {
    const result = await runOf({ tests: "echo ran" });
    expect(JSON.stringify({ ...result, duration_s: 1 })).toBe(
      '{"task_id":"one","repo":"acme/tool","ref":"v1","pytest_k":null,"status":"passed","duration_s":1,"tail":"ran"}',
    );
    expect(result.duration_s).toBeGreaterThan(0);
  });

  test("passes the expression that chooses tests as one word", async () => {
    const { tail } = await runOf(
      { tests: 'shift "$(($# - 2))"; echo "<$1> <$2>"' },
      { k: "numpy or 'pandas'; echo $HOME" },
    );
    expect(tail).toBe("<-k> <numpy or 'pandas'; echo $HOME>");
  });

  test.each([
    ["exit 0", "passed"],
    ["exit 1", "failed"],
    ["exit 5", "no_tests"],
    ["exit 2", "tests_error"],
    ["kill -9 $$", "tests_error"],
  ])("that ends with `%s` is called %s", async (tests, status) => {
    expect(await runOf({ tests: `echo the end; ${tests}` })).toMatchObject({ status, tail: "the end" });
  });

  test("finds commits by tags and branches, and says when there is none", async () => {
    expect(await runOf({}, { ref: "side" })).toMatchObject({ status: "passed" });
    const none = await runOf({}, { ref: "f".repeat(40) });
    expect(none).toMatchObject({
      status: "clone_failed",
      tail: expect.stringContaining("no commit, tag or branch fff"),
    });
  });

  test("stops at an installation that fails", async () => {
    expect(await runOf({ install: "echo no compiler >&2; exit 3", tests: "echo ran" })).toMatchObject({
      status: "install_failed",
      tail: "no compiler",
    });
  });

  test("ends each stage at its time, with all its processes", async () => {
    const forever = "(setsid sleep 300 & ) ; echo started; sleep 300";
    const installing = await runOf({ install: forever }, { budgets: { install: 3_000 } });
    expect(installing).toMatchObject({ status: "install_timeout", tail: "started" });
    const testing = await runOf({ tests: forever }, { budgets: { tests: 3_000 } });
    expect(testing).toMatchObject({ status: "tests_timeout", tail: "started" });
    expect(installing.duration_s + testing.duration_s).toBeLessThan(120);
  });

  test("is over when the time of the whole run is used up", async () => {
    expect(await runOf({ tests: "sleep 300" }, { budgets: { run: 3_000 } })).toMatchObject({ status: "run_timeout" });
    const installed = await runOf({ install: "sleep 300" }, { budgets: { run: 1 } });
    expect(installed).toMatchObject({ status: "run_timeout", tail: "no time was left for the stage clone" });
  });

  const change = (to: string) => `--- a/value\n+++ b/value\n@@ -1 +1 @@\n-1\n+${to}\n`;

  test("with a patch tells of the tests before and after, each in a sandbox of its own", async () => {
    const tests = "[ ! -e ran ] && touch ran && grep -q 2 value";
    const result = await runOf(
      { tests: `${tests} || { echo "value is $(cat value)"; exit 1; }` },
      { patch: change("2") },
    );
    expect(result).toMatchObject({ status: "passed", tail: "", before: { status: "failed", tail: "value is 1" } });
  });

  test("with a patch that does not apply says so", async () => {
    const stale = change("2").replace("-1\n", "-7\n");
    expect(await runOf({}, { patch: stale })).toMatchObject({ status: "patch_failed", before: { status: "passed" } });
  });

  test("refuses a patch past the guardrails before anything runs", async () => {
    const two = change("2") + change("2").replaceAll("value", "other");
    const { status, tail, before } = await runOf({}, { patch: two });
    expect({ status, tail, before }).toEqual({
      status: "patch_refused",
      tail: "2 files (at most 1)",
      before: undefined,
    });
  });

  test("has no network while tests run", async () => {
    const { tail } = await runOf({ tests: "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '" });
    expect(tail).toBe("lo");
  });

  test("keeps the end of a long output", async () => {
    const { tail } = await runOf({ tests: "seq 1 100000; exit 1" });
    expect(tail).toMatch(/^\d+\n(.*\n)*100000$/);
    expect(tail.length).toBeLessThanOrEqual(2_000);
  });
});
