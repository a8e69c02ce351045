import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Environments } from "../../src/environments/prepare.ts";
import { Grader } from "../../src/grading/grader.ts";
import type { GraderSpec } from "../../src/grading/spec.ts";
import type { Backend } from "../../src/sandbox/sandbox.ts";
import { fileSource } from "../../src/tasks/sources/file.ts";
import type { Task } from "../../src/tasks/task.ts";
import { readTaskSet } from "../../src/tasks/task-set.ts";
import { Judge } from "../../src/verdict/judge-in-worker.ts";
import { availableVariants, newPlace, type Place } from "../support/backends.ts";
import { leftovers } from "../support/leftovers.ts";
import { HOST_PATH, preparationOptions } from "../support/preparation.ts";

/**
 * Real rows, prepared from the official constants and played with the official script. Clones of the public repositories lie as <owner>__<name>[.git] in the folder
 * SANDLOT_REPOSITORIES, the rows in SANDLOT_DATA. SANDLOT_SWEBENCH_IDS names others.
 */
const clones = process.env["SANDLOT_REPOSITORIES"] ? [process.env["SANDLOT_REPOSITORIES"]] : [];
const data = process.env["SANDLOT_DATA"] ?? join(import.meta.dirname, "../../../shared/data");
const files = ["SWE-bench_Lite.dev.v5", "SWE-bench_Lite.test.v5", "SWE-bench_Verified.test.v5"];
const paths = files.map((name) => join(data, "swebench", `${name}.jsonl.gz`)).filter((path) => existsSync(path));
const ids = (
  process.env["SANDLOT_SWEBENCH_IDS"] ??
  "marshmallow-code__marshmallow-1343,marshmallow-code__marshmallow-1359,pydicom__pydicom-1694,sqlfluff__sqlfluff-1733"
).split(",");
const runnable = clones.length > 0 && paths.length > 0;
const isolated = runnable ? (await availableVariants()).find((variant) => variant.options.type === "oci") : undefined;
if (isolated === undefined) {
  console.warn("real SWE-bench rows are skipped: they need SANDLOT_REPOSITORIES, SANDLOT_DATA and the oci backend");
}

const HARMLESS =
  "diff --git a/sandlot-note.txt b/sandlot-note.txt\nnew file mode 100644\n--- /dev/null\n+++ b/sandlot-note.txt\n@@ -0,0 +1 @@\n+x\n";
const LIMITS = { memoryMiB: 4096, cpuMilli: 2000, pids: 512, diskMiB: 4096 };

describe.skipIf(isolated === undefined)("a real SWE-bench row", () => {
  const judge = new Judge();
  const tasks = new Map<string, Task>();
  let place: Place;
  let backend: Backend;
  let environments: Environments;
  let grader: Grader;

  beforeAll(async () => {
    if (isolated === undefined) return;
    place = newPlace(isolated);
    backend = await place.open();
    const newId = (): string => `sandlot-${place.instance}-${randomBytes(16).toString("hex")}`;
    const options = preparationOptions(place.stateDir, HOST_PATH, backend);
    environments = new Environments({ ...options, newId, repositories: clones });
    grader = new Grader({ backend, judge, newId, limits: LIMITS, serverVersion: "test" });
    for (const path of paths)
      for (const task of await readTaskSet({ sources: [fileSource(path)] })) tasks.set(task.id, task);
  });

  afterAll(async () => {
    await grader.settled();
    await judge.close();
    await backend.close();
    expect(leftovers(place.stateDir, place.instance)).toEqual([]);
    await place[Symbol.asyncDispose]();
  });

  test.for(ids)("%s gives its gold patch 1 and others 0, three times of three", { timeout: 1_200_000 }, async (id) => {
    const task = tasks.get(id);
    if (task === undefined) throw new Error(`expected ${id} in ${paths.join(", ")}`);
    const environment = await environments.prepare(task.environment);
    const spec = specOf(task);
    const signal = AbortSignal.timeout(1_200_000);
    const grade = async (patch: string) =>
      grader.gradeSubmission({ environment, spec, signal, submission: { patch: Buffer.from(patch), leftOut: [] } });
    for (const _ of [1, 2, 3]) {
      expect(await grade(task.oracle.patch)).toMatchObject({ reward: 1, validity: "VALID", outcome: "RESOLVED" });
      expect(await grade(HARMLESS)).toMatchObject({ reward: 0, validity: "VALID", outcome: "UNRESOLVED" });
      expect(await grade("")).toMatchObject({ reward: 0, validity: "VALID", outcome: "EMPTY_PATCH" });
    }
  });
});

function specOf({ grader }: Task): GraderSpec {
  const { rule, parser, evalType, failToPass, passToPass, apply, script, timeoutMs } = grader;
  return { expectation: { rule, parser, evalType, failToPass, passToPass }, apply, script, timeoutMs };
}
