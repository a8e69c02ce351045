import { NO_INSTANCE, type Parser, UnparsableLog } from "./parsers/parser.ts";
import { universalNewlines } from "./python-text.ts";
import type { Expectation, TestGroup, TestStatus, Verdict } from "./verdict.ts";

/** What the versions of the official harness have in common (`harness/grading.py`, `harness/constants/__init__.py`). */

export const START = ">>>>> Start Test Output";
export const END = ">>>>> End Test Output";
export const BAD_CODES = [
  ">>>>> Patch Apply Failed",
  ">>>>> Reset Failed",
  ">>>>> Tests Errored",
  ">>>>> Tests Timed Out",
];

export type Statuses = ReadonlyMap<string, TestStatus>;
type Problem = { readonly problem: string; readonly raised: boolean };
export type Reading = { readonly statuses: Statuses } | Problem;

export interface ReadingOptions {
  /** Why statuses that were read are not to be believed, if so. */
  readonly confirm?: (statuses: Statuses, content: string) => string | undefined;
  /** Whether all of the log is read when nothing was found between the markers; default true. */
  readonly wholeIfEmpty?: boolean;
}

/** `get_logs_eval`. */
export function readLog(
  log: string,
  { instance = NO_INSTANCE }: Pick<Expectation, "instance">,
  parse: Parser,
  { confirm = () => undefined, wholeIfEmpty = true }: ReadingOptions = {},
): Reading {
  const content = universalNewlines(log);
  const bad = BAD_CODES.find((code) => content.includes(code));
  if (bad !== undefined) return { problem: `the log contains ${JSON.stringify(bad)}`, raised: false };
  const start = content.indexOf(START);
  if (start === -1 || !content.includes(END)) {
    return { problem: "the log lacks the start or the end marker of the tests", raised: false };
  }
  try {
    let statuses = parse(betweenMarkers(content, start), instance);
    if (statuses.size === 0 && wholeIfEmpty) statuses = parse(content, instance);
    const problem = confirm(statuses, content);
    return problem === undefined ? { statuses } : { problem, raised: false };
  } catch (error) {
    if (error instanceof UnparsableLog) return { problem: `the parser stops at ${error.message}`, raised: true };
    throw error;
  }
}

/** `content.split(START)[1].split(END)[0]`. */
function betweenMarkers(content: string, start: number): string {
  const from = start + START.length;
  const next = content.indexOf(START, from);
  const section = content.slice(from, next === -1 ? undefined : next);
  const end = section.indexOf(END);
  return end === -1 ? section : section.slice(0, end);
}

/** The verdict on a log that cannot be read. */
export function noVerdict(problem: string, { raised }: { readonly raised: boolean }): Verdict {
  const none = { success: [], failure: [] };
  return { found: false, problem, raised, resolved: false, statuses: [], failToPass: none, passToPass: none };
}

/** What a status makes of a test. True: a success; false: a failure; undefined: in neither list. */
export type Judgement = (status: TestStatus | undefined) => boolean | undefined;

export interface Judging {
  readonly statusOf: (test: string) => TestStatus | undefined;
  readonly failToPass: Judgement;
  readonly passToPass: Judgement;
}

/** `get_eval_tests_report` and `get_resolution_status`: resolved is that no test of either list failed. */
export function conclude(statuses: Statuses, expectation: Expectation, judging: Judging): Verdict {
  const failToPass = group(expectation.failToPass, judging.statusOf, judging.failToPass);
  const passToPass = group(expectation.passToPass, judging.statusOf, judging.passToPass);
  const resolved = failToPass.failure.length === 0 && passToPass.failure.length === 0;
  return { found: true, raised: false, resolved, statuses: [...statuses], failToPass, passToPass };
}

/** `check_fail_only`: what is absent did not fail. */
export function failOnly(statuses: Statuses): Judging {
  const didNotFail: Judgement = (status) => status !== "FAILED";
  return { statusOf: (test) => statuses.get(test), failToPass: didNotFail, passToPass: didNotFail };
}

function group(tests: readonly string[], statusOf: Judging["statusOf"], judgement: Judgement): TestGroup {
  const judged = tests.map((test) => ({ test, good: judgement(statusOf(test)) }));
  return {
    success: judged.filter(({ good }) => good === true).map(({ test }) => test),
    failure: judged.filter(({ good }) => good === false).map(({ test }) => test),
  };
}
