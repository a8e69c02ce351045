import { describe, expect, it } from "vitest";
import { judge } from "../judge.ts";
import type { StageResults } from "../verdict.ts";

const stage = (passed: string[], failed: string[] = [], skipped: string[] = []): StageResults => ({
  passed,
  failed,
  skipped,
});
const fix = ({ passed, failed, skipped }: StageResults) =>
  JSON.stringify({ passed_tests: passed, failed_tests: failed, skipped_tests: skipped });

const judged = (
  log: string,
  changes: { run?: StageResults; test?: StageResults; f2p?: string[]; p2p?: string[] } = {},
) =>
  judge(log, {
    rule: "multi-swe-bench@24f493f",
    parser: "json_lists",
    evalType: "pass_and_fail",
    failToPass: changes.f2p ?? ["fixed", "new"],
    passToPass: changes.p2p ?? ["kept"],
    stages: { run: changes.run ?? stage(["kept"], ["fixed"]), test: changes.test ?? stage(["kept"], ["fixed"]) },
  });

describe("the rule of Multi-SWE-bench", () => {
  it("resolves when the three stages make a valid report and every test of the row passes again", () => {
    expect(judged(fix(stage(["kept", "fixed", "new", "other"], ["known"])))).toMatchObject({
      found: true,
      resolved: true,
    });
  });

  it("does not when a test of the row is missing, skipped or fails", () => {
    expect(judged(fix(stage(["kept", "fixed"]))).failToPass.failure).toEqual(["new"]);
    expect(judged(fix(stage(["kept", "fixed"], [], ["new"]))).resolved).toBe(false);
    expect(judged(fix(stage(["fixed", "new"]))).passToPass.failure).toEqual(["kept"]);
  });

  it("does not when the row has a test among those to be fixed that passed before, or the other way round", () => {
    const log = fix(stage(["kept", "fixed", "new"]));
    expect(judged(log, { f2p: ["fixed", "kept"], p2p: [] }).failToPass.failure).toEqual(["kept"]);
    expect(judged(log, { f2p: ["fixed"], p2p: ["kept", "new"] }).passToPass.failure).toEqual(["new"]);
  });

  it("does not when any test fails that passed with the tests alone", () => {
    const verdict = judged(fix(stage(["kept", "fixed", "new"], ["aside"])), {
      test: stage(["kept", "aside"], ["fixed"]),
    });
    expect(verdict).toMatchObject({ resolved: false, reason: "a test that passed before fails" });
  });

  it("does not when nothing passes that did not before", () => {
    const verdict = judged(fix(stage(["kept"])), { f2p: [], test: stage(["kept"]) });
    expect(verdict).toMatchObject({ resolved: false, reason: "no test passes that did not before" });
  });

  it.each([
    ["was not there", stage(["kept"], ["fixed"])],
    ["was skipped", stage(["kept"], ["fixed"], ["aside"])],
  ])("does not when a test fails that passed without patches and %s with the tests alone", (_, test) => {
    const run = stage(["kept", "aside"], ["fixed"]);
    expect(judged(fix(stage(["kept", "fixed", "new"], ["aside"])), { run, test }).resolved).toBe(false);
    expect(judged(fix(stage(["kept", "fixed", "new"], ["aside"])), { test }).resolved).toBe(true);
  });

  it("has no verdict on a log without results, or with a test in two lists", () => {
    expect(judged(fix(stage([])))).toMatchObject({ found: false, raised: false, resolved: false });
    expect(judged(fix(stage(["kept", "fixed"], ["fixed"])))).toMatchObject({ found: false, raised: true });
    expect(judged("Traceback")).toMatchObject({ found: false, raised: true });
    expect(judged(fix(stage(["kept", "fixed", "new", "new"]))).resolved).toBe(true);
  });
});
