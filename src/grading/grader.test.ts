import { afterAll, describe, expect, it } from "vitest";
import type { Environment } from "../environments/environment.ts";
import { SandlotError } from "../errors.ts";
import type { Backend, ExecResult, Sandbox } from "../sandbox/sandbox.ts";
import { WarmPool } from "../sandbox/warm.ts";
import { Judge } from "../verdict/judge-in-worker.ts";
import { Grader } from "./grader.ts";
import type { GraderSpec } from "./spec.ts";
import type { Submission } from "./submission.ts";

/** What a grade says when the run is such and such: the runs are told, not made. Real ones are in test/contract. */

const judge = new Judge();
afterAll(() => judge.close());

const LIMITS = { memoryMiB: 512, cpuMilli: 1000, pids: 128, diskMiB: 512 };
const ENVIRONMENT: Environment = {
  key: "k",
  rootfs: { type: "host" },
  layers: [],
  binds: [],
  workdir: "/testbed",
  env: {},
  baseCommit: "b",
  seal: "s",
  preparedMs: 0,
};
const SPEC: GraderSpec = {
  expectation: {
    rule: "swebench@5.0.2",
    parser: "parse_log_pytest",
    evalType: "pass_and_fail",
    failToPass: ["a"],
    passToPass: ["b"],
  },
  apply: "swebench@5.0.2",
  script: ": '>>>>> Start Test Output'\ntests\n: '>>>>> End Test Output'\n",
  timeoutMs: 1000,
  officialRule: "swebench@5.0.2",
};
const PATCH: Submission = { patch: Buffer.from("diff"), leftOut: ["x.log"] };

function ended(more: Partial<ExecResult> = {}): ExecResult {
  return {
    ...{
      output: [],
      outputBytes: 0,
      truncated: false,
      timedOut: false,
      interrupted: false,
      oomKills: 0,
      durationMs: 1,
    },
    ...(more.signal === undefined ? { exitCode: 0 } : {}),
    ...more,
  };
}

function printed(text: string, more: Partial<ExecResult> = {}): ExecResult {
  return ended({ ...more, output: [{ offset: 0, stream: "stdout", data: Buffer.from(text) }] });
}

function log(body: string): string {
  return `+ : '>>>>> Start Test Output'\n${body}\n+ : '>>>>> End Test Output'\n`;
}

const RESOLVED = printed(log("PASSED a\nPASSED b"));
const UNRESOLVED = printed(log("FAILED a\nPASSED b"));

interface Told {
  /** Results of the test script, one for each run. */
  readonly scripts?: readonly (ExecResult | Error)[];
  readonly applies?: boolean;
  /** What the host ends of each command that applies the patch. */
  readonly hostKills?: number;
  readonly createFails?: Error;
  readonly hostLacks?: string;
  readonly disposeFails?: boolean;
}

function backendOf(told: Told): {
  readonly backend: Backend;
  readonly disposed: () => number;
  readonly runs: () => number;
} {
  const scripts = [...(told.scripts ?? [])];
  let disposed = 0;
  let runs = 0;
  const sandbox = {
    locate: (path: string) => path,
    writeFile: async () => ({}),
    exec: async (argv: readonly string[]): Promise<ExecResult> => {
      const { applies, hostKills } = told;
      if (!argv.includes("/eval.sh"))
        return ended({ exitCode: applies === false ? 1 : 0, ...(hostKills && { hostOomKills: hostKills }) });
      runs += 1;
      const result = scripts.shift() ?? new Error("no more runs were expected");
      if (result instanceof Error) throw result;
      return result;
    },
    dispose: async () => {
      disposed += 1;
      if (told.disposeFails) throw new Error("its folder cannot be removed");
    },
  };
  const backend = {
    name: "told",
    create: async (): Promise<Sandbox> => {
      if (told.createFails) throw told.createFails;
      return sandbox as unknown as Sandbox; // the methods that grading a patch calls
    },
  };
  return { backend: backend as unknown as Backend, disposed: () => disposed, runs: () => runs };
}

async function grade(told: Told, submission: Submission = PATCH, spec = SPEC, kind: "tests" | "structural" = "tests") {
  const { backend, disposed, runs } = backendOf(told);
  const hostLacks = async () => told.hostLacks;
  const failures: unknown[] = [];
  const failed = (error: unknown): number => failures.push(error);
  const warm = new WarmPool({ backend, perEnvironment: 0, total: 0, failed });
  const made = { backend, warm, judge, newId: () => "id", limits: LIMITS, serverVersion: "1", hostLacks, kind };
  const grader = new Grader(made);
  const signal = new AbortController().signal;
  const got = await grader.gradeSubmission({ environment: ENVIRONMENT, spec, submission, signal });
  await grader.settled();
  return { ...got, runs: runs(), disposed: disposed(), failures };
}

describe("a grade", () => {
  it("is 1 when the rule resolves on a whole log, and says how it was made", async () => {
    expect(await grade({ scripts: [RESOLVED] })).toMatchObject({
      ...{ reward: 1, validity: "VALID", outcome: "RESOLVED", officialResolved: true, officialRule: "swebench@5.0.2" },
      tests: { FAIL_TO_PASS: { passed: 1, failed: 0 }, PASS_TO_PASS: { passed: 1, failed: 0 } },
      hidden: { failToPass: { success: ["a"] }, log: expect.stringContaining("PASSED a") },
      ...{ leftOut: ["x.log"], patchBase64: Buffer.from("diff").toString("base64"), runs: 1, disposed: 1 },
      provenance: { backend: "told", logSha256: expect.stringMatching(/^[0-9a-f]{64}$/), seal: "s" },
    });
  });

  it("is 0 when the rule does not, and names no test outside of what is hidden", async () => {
    const got = await grade({ scripts: [printed(log("FAILED secret_name\nPASSED b"))] });
    expect(got).toMatchObject({
      reward: 0,
      validity: "VALID",
      outcome: "UNRESOLVED",
      officialResolved: false,
      runs: 1,
    });
    expect(JSON.stringify({ ...got, hidden: undefined })).not.toContain("secret_name");
  });

  it("is 0 without a run for an empty patch", async () => {
    const got = await grade({}, { patch: new Uint8Array(), leftOut: [] });
    expect(got).toMatchObject({ reward: 0, validity: "VALID", outcome: "EMPTY_PATCH", runs: 0 });
    expect(got.officialResolved).toBeUndefined();
  });

  it("is 0 without a run for a submission that was refused", async () => {
    const refused = { outcome: "SUBMISSION_TOO_LARGE", reason: "much too large" } as const;
    const got = await grade({}, { patch: new Uint8Array(), leftOut: [], refused });
    expect(got).toMatchObject({ reward: 0, validity: "VALID", ...refused, runs: 0 });
  });

  it("is 0 when no command applies the patch", async () => {
    const got = await grade({ applies: false });
    expect(got).toMatchObject({ reward: 0, validity: "VALID", outcome: "PATCH_DOES_NOT_APPLY", runs: 0, disposed: 1 });
    expect(got.officialResolved).toBeUndefined();
  });

  it.each([
    ["timed out", printed(log("PASSED a\nPASSED b"), { timedOut: "command", signal: 9 }), "TESTS_TIMED_OUT"],
    ["was killed", printed(log("PASSED a\nPASSED b"), { signal: 9 }), "TESTS_DID_NOT_FINISH"],
    ["printed too much", printed(log("PASSED a\nPASSED b"), { truncated: true }), "TESTS_DID_NOT_FINISH"],
    [
      "could not be watched",
      printed(log("PASSED a\nPASSED b"), { note: "no process id was free" }),
      "TESTS_DID_NOT_FINISH",
    ],
    ["ran out of memory", printed(log("FAILED a"), { oomKills: 2 }), "TESTS_DID_NOT_FINISH"],
  ])("is 0 when the script %s twice, whatever it printed", async (_, result, outcome) => {
    const got = await grade({ scripts: [result, result] });
    expect(got).toMatchObject({ reward: 0, validity: "VALID", outcome, runs: 2, disposed: 2 });
  });

  it("goes by the second run when the first one went over a limit", async () => {
    const killed = ended({ signal: 9 });
    expect(await grade({ scripts: [killed, RESOLVED] })).toMatchObject({ reward: 1, outcome: "RESOLVED", runs: 2 });
    expect(await grade({ scripts: [killed, UNRESOLVED] })).toMatchObject({ reward: 0, outcome: "UNRESOLVED", runs: 2 });
  });

  it("is 1 when the rule resolves although something was killed for want of memory", async () => {
    const got = await grade({ scripts: [printed(log("PASSED a\nPASSED b"), { oomKills: 1 })] });
    expect(got).toMatchObject({ reward: 1, runs: 1 });
  });

  it("is 0 when the log is not complete", async () => {
    const got = await grade({ scripts: [printed("nothing ran")] });
    expect(got).toMatchObject({
      reward: 0,
      validity: "VALID",
      outcome: "TESTS_DID_NOT_FINISH",
      officialResolved: false,
    });
  });

  it.each([
    ["creating the sandbox", { createFails: new SandlotError("sandbox", "the host is full") }],
    ["running the tests", { scripts: [new SandlotError("sandbox", "the host is full")] }],
  ])("has no reward when the infrastructure failed in %s", async (_, told) => {
    const got = await grade(told);
    expect(got).toMatchObject({ validity: "INFRA", outcome: "NO_VERDICT", reason: "the host is full" });
    expect(got).not.toHaveProperty("reward");
  });

  it("has no reward when it is not resolved and the host lacks something, and is 1 when it is resolved all the same", async () => {
    const hostLacks = "the disk is full";
    const nothing = { validity: "INFRA", outcome: "NO_VERDICT", reason: hostLacks };
    expect(await grade({ scripts: [UNRESOLVED], hostLacks })).toMatchObject(nothing);
    expect(await grade({ applies: false, hostLacks })).toMatchObject(nothing);
    expect(await grade({ applies: false, hostLacks })).not.toHaveProperty("reward");
    expect(await grade({ scripts: [RESOLVED], hostLacks })).toMatchObject({ validity: "VALID", reward: 1 });
  });

  it("has no reward when the host, not its own limit, ended something of it twice and it is not resolved", async () => {
    const pressed = printed(log("FAILED a"), { hostOomKills: 1 });
    const reason = expect.stringContaining("the host ran out of memory");
    const nothing = { validity: "INFRA", outcome: "NO_VERDICT", reason, runs: 2 };
    expect(await grade({ scripts: [pressed, pressed] })).toMatchObject(nothing);
    expect(await grade({ scripts: [pressed, printed("", { signal: 9, hostOomKills: 1 })] })).toMatchObject(nothing);
    expect(await grade({ scripts: [pressed, pressed] })).not.toHaveProperty("reward");
    expect(await grade({ scripts: [pressed, UNRESOLVED] })).toMatchObject({ reward: 0, outcome: "UNRESOLVED" });
    expect(await grade({ scripts: [pressed, RESOLVED] })).toMatchObject({ reward: 1, runs: 2 });
    const passed = printed(log("PASSED a\nPASSED b"), { hostOomKills: 1 });
    expect(await grade({ scripts: [passed] })).toMatchObject({ reward: 1, runs: 1 });
    expect(await grade({ applies: false, hostKills: 1 })).toMatchObject({ ...nothing, runs: 0 });
  });

  it("has no reward when the task's own grader is broken", async () => {
    const noMarkers = await grade({ scripts: [RESOLVED] }, PATCH, { ...SPEC, script: "tests\n" });
    const noParser = { ...SPEC, expectation: { ...SPEC.expectation, parser: "none" } };
    for (const got of [noMarkers, await grade({ scripts: [RESOLVED] }, PATCH, noParser)]) {
      expect(got).toMatchObject({ validity: "TASK", outcome: "NO_VERDICT" });
      expect(got).not.toHaveProperty("reward");
    }
  });

  it("has no reward when it is cancelled", async () => {
    const { backend, disposed } = backendOf({ scripts: [new Error("the wait was ended")] });
    const grader = new Grader({ backend, judge, newId: () => "id", limits: LIMITS, serverVersion: "1" });
    const stop = new AbortController();
    const asked = grader.gradeSubmission({
      environment: ENVIRONMENT,
      spec: SPEC,
      submission: PATCH,
      signal: stop.signal,
    });
    stop.abort();
    const got = await asked;
    expect(got).toMatchObject({ validity: "CANCELLED", outcome: "NO_VERDICT" });
    expect(got).not.toHaveProperty("reward");
    expect(disposed()).toBe(1);
  });

  it("survives a journal: what it is made of is JSON", async () => {
    const got = await grade({ scripts: [RESOLVED] });
    expect(JSON.parse(JSON.stringify(got))).toEqual(got);
  });

  it("stands when its sandbox cannot be removed, which is told", async () => {
    const disposeFails = true;
    const told = { failures: [new Error("its folder cannot be removed")], disposed: 1 };
    expect(await grade({ scripts: [RESOLVED], disposeFails })).toMatchObject({ ...told, reward: 1 });
    expect(await grade({ scripts: [UNRESOLVED], disposeFails })).toMatchObject({ ...told, reward: 0 });
    expect(await grade({ applies: false, disposeFails })).toMatchObject({ ...told, outcome: "PATCH_DOES_NOT_APPLY" });
  });
});

describe("a structural grade", () => {
  const structural = (told: Told, submission?: Submission) => grade(told, submission, SPEC, "structural");

  it("never has a reward, whatever it finds, and runs no test", async () => {
    const refused = { outcome: "SUBMISSION_TOO_LARGE", reason: "much too large" } as const;
    const grades = [
      await structural({}),
      await structural({ applies: false }),
      await structural({}, { patch: new Uint8Array(), leftOut: [] }),
      await structural({}, { ...PATCH, refused }),
    ];
    const outcomes = ["COMPILES", "PATCH_DOES_NOT_APPLY", "EMPTY_PATCH", "SUBMISSION_TOO_LARGE"];
    expect(grades.map(({ outcome }) => outcome)).toEqual(outcomes);
    for (const got of grades) {
      expect(got).toMatchObject({ validity: "STRUCTURAL", tests: {}, runs: 0 });
      expect([got.reward, got.officialResolved]).toEqual([undefined, undefined]);
    }
  });

  it("says so when the infrastructure failed", async () => {
    const got = await structural({ createFails: new SandlotError("sandbox", "the host is full") });
    expect(got).toMatchObject({ validity: "INFRA", outcome: "NO_VERDICT" });
    expect(got.reward).toBeUndefined();
  });
});
