import { randomBytes } from "node:crypto";
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Grader, type GraderOptions } from "../../src/grading/grader.ts";
import { openBackend } from "../../src/sandbox/open.ts";
import type { Backend } from "../../src/sandbox/sandbox.ts";
import { WarmPool } from "../../src/sandbox/warm.ts";
import { Judge } from "../../src/verdict/judge-in-worker.ts";
import { type GradedTask, makeGradedTask } from "./graded-task.ts";
import { leaveOut } from "./required.ts";

/** A grader on oci sandboxes of its own, and the small task. */
export interface GradingPlace {
  /** Removed with all that is in it. */
  readonly root: string;
  readonly backend: Backend;
  readonly warm: WarmPool;
  readonly task: GradedTask;
  readonly grader: Grader;
  /** What the grader was made of. */
  readonly options: Pick<GraderOptions, "judge" | "newId" | "limits" | "serverVersion">;
  close(): Promise<void>;
}

const RUNNER = resolve(import.meta.dirname, "../../runner/sandlot-runner");
const LIMITS = { memoryMiB: 512, cpuMilli: 1000, pids: 256, diskMiB: 1024 };

/** Whether this host can have it; where it cannot, that is printed. */
export async function canGrade(what: string): Promise<boolean> {
  const built = await access(RUNNER).then(
    () => true,
    () => false,
  );
  if (built && process.getuid?.() === 0) return true;
  leaveOut(what, "oci", "it needs root and runner/sandlot-runner (scripts/setup)");
  return false;
}

/** `hide`: names below the root that no sandbox is shown. */
export async function openGradingPlace(hide: readonly string[] = []): Promise<GradingPlace> {
  const root = await mkdtemp(join(tmpdir(), "sandlot-grading-"));
  const instance = randomBytes(4).toString("hex");
  const judge = new Judge();
  const options = {
    ...{ judge, limits: LIMITS, serverVersion: "test" },
    newId: () => `sandlot-${instance}-${randomBytes(16).toString("hex")}`,
  };
  const backend = await openBackend({
    ...{ type: "oci", stateDir: join(root, "state"), instance, runtime: "auto", disk: "watched", runnerPath: RUNNER },
    ...{ images: [], env: { PATH: process.env["PATH"] ?? "" } },
    hide: hide.map((name) => join(root, name)),
  });
  const warm = new WarmPool({ backend, perEnvironment: 0, total: 0 });
  const close = async () => {
    await judge.close();
    await backend.close();
    await rm(root, { recursive: true, force: true });
  };
  const grader = new Grader({ backend, warm, ...options });
  return { root, backend, warm, task: makeGradedTask(root), grader, options, close };
}
