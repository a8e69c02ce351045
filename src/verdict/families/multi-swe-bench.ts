import { NO_INSTANCE, type Parser, UnparsableLog } from "../parsers/parser.ts";
import { noVerdict, type Statuses } from "../swebench-log.ts";
import type { Expectation, StageResults, TestGroup, Verdict } from "../verdict.ts";
import { JSON_LISTS_PARSERS } from "./json-statuses.ts";

/**
 * The rule of Multi-SWE-bench: `harness/report.py` and `gen_report.py` at 24f493f. The row holds what the tests gave without patches (`run`) and with that of the tests alone (`test`);
 * the log is that of the third stage (`fix`). The report of the three must be valid, and each test of the row must pass again as it did.
 */
export function judgeMultiSweBench(log: string, expectation: Expectation, parse: Parser): Verdict {
  try {
    const fix = parse(log, NO_INSTANCE);
    const { failToPass, passToPass, stages } = expectation;
    const test = stageOf(stages?.test);
    const invalid = whyInvalid(fix, stageOf(stages?.run), test);
    const passedBefore = (name: string) => test.get(name) === "PASS";
    const groups = {
      failToPass: group(failToPass, fix, (name) => !passedBefore(name)),
      passToPass: group(passToPass, fix, passedBefore),
    };
    const missed = groups.failToPass.failure.length + groups.passToPass.failure.length;
    return {
      ...{ found: fix.size > 0, raised: false, resolved: invalid === undefined && missed === 0, statuses: [...fix] },
      ...groups,
      ...(invalid !== undefined && (fix.size > 0 ? { reason: invalid } : { problem: invalid })),
    };
  } catch (error) {
    if (error instanceof UnparsableLog) return noVerdict(`the parser stops at ${error.message}`, { raised: true });
    throw error;
  }
}

function stageOf(results: StageResults | undefined): Statuses {
  const all = (names: readonly string[] = [], status: string) => names.map((name) => [name, status] as const);
  return new Map([...all(results?.passed, "PASS"), ...all(results?.failed, "FAIL"), ...all(results?.skipped, "SKIP")]);
}

/** `Report.check`. Names no test. */
function whyInvalid(fix: Statuses, run: Statuses, test: Statuses): string | undefined {
  if (fix.size === 0) return "no result of a test is in the log";
  const failed = [...fix].filter(([, status]) => status === "FAIL").map(([name]) => name);
  if (failed.some((name) => test.get(name) === "PASS")) return "a test that passed before fails";
  if (![...fix].some(([name, status]) => status === "PASS" && test.get(name) !== "PASS"))
    return "no test passes that did not before";
  const vanished = (name: string) => test.get(name) === undefined || test.get(name) === "SKIP";
  if (failed.some((name) => vanished(name) && run.get(name) === "PASS"))
    return "a test fails that passed without patches";
  return undefined;
}

/** `belongs`: whether the stage before puts a test into this group, whatever the row says. */
function group(tests: readonly string[], fix: Statuses, belongs: (name: string) => boolean): TestGroup {
  const again = (name: string) => fix.get(name) === "PASS" && belongs(name);
  return { success: tests.filter(again), failure: tests.filter((name) => !again(name)) };
}

export const MULTI_SWE_BENCH_PARSERS: ReadonlyMap<string, Parser> = new Map(JSON_LISTS_PARSERS);
