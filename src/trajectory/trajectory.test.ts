import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { someTask } from "../tasks/task.fixture.ts";
import { Task } from "../tasks/task.ts";
import { Journal, readLines, Syncer } from "./journal.ts";
import { openLedger } from "./ledger.ts";
import type { Created } from "./lines.ts";
import { Trajectory, type TrajectoryParts } from "./trajectory.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sandlot-trajectory-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("a release is answered while a slow disk still holds the sandbox, and its place is free when it is gone", async () => {
  const removed = Promise.withResolvers<void>();
  const told: string[] = [];
  const trajectory = withSandbox(() => removed.promise, {
    freed: () => told.push("freed"),
    over: (_, { state }) => told.push(`over: ${state}`),
  });
  const began = performance.now();
  expect(await trajectory.end("RELEASED")).toMatchObject({ state: "ENDED", ending: "RELEASED" });
  expect(performance.now() - began).toBeLessThan(60_000);
  expect(await trajectory.end("RELEASED")).toMatchObject({ ending: "RELEASED" });
  expect(readLines(join(folder, "journal.jsonl")).map(({ line }) => line.type)).toEqual(["ended"]);
  expect(told).toEqual([]);
  const idle = trajectory.idle();
  expect(await Promise.race([idle.then(() => "idle"), Promise.resolve("not yet")])).toBe("not yet");
  removed.resolve();
  await idle;
  expect(told).toEqual(["freed", "over: ENDED"]);
});

test("a release waits for a sandbox that is gone at once", async () => {
  const told: string[] = [];
  const trajectory = withSandbox(() => Promise.resolve(), { freed: () => told.push("freed") });
  await trajectory.end("RELEASED");
  expect(told).toEqual(["freed"]);
});

function withSandbox(dispose: () => Promise<void>, parts: Partial<TrajectoryParts>): Trajectory {
  return new Trajectory({
    ledger: openLedger(CREATED),
    journal: new Journal(join(folder, "journal.jsonl"), new Syncer()),
    sandbox: { dispose } as Sandbox, // nothing else of it is asked for
    task: Task.parse(someTask()),
    caps: { keepBytes: 1, spillBytes: 0 },
    judge: { excess: undefined, takeSubmission: unasked, judge: unasked },
    freed: () => undefined,
    failed: () => undefined,
    over: () => undefined,
    ...parts,
  });
}

const unasked = (): never => {
  throw new Error("nothing is graded here");
};

const LIMITS = { maxSteps: 1, maxTurns: 1, wallMs: 60_000, commandMs: 1, noOutputMs: 0, outputBytes: 1 };
const CREATED = {
  type: "created",
  at: Date.now(),
  id: `sandlot-a1b2c3d4-${"0".repeat(32)}`,
  call: { attemptId: "a", taskId: "t", pool: "default", labels: {} },
  limits: { ...LIMITS, memoryMiB: 1, cpuMilli: 1, pids: 1, diskMiB: 1, gradeMs: 1 },
  leaseMs: 60_000,
  environment: { key: "k" },
  tools: ["bash"],
  workdir: "/testbed",
} as unknown as Created; // as far as an end reads it
