import { type Parser, UnparsableLog } from "./parsers/parser.ts";
import { count, isZero, SPACE, universalNewlines } from "./python-text.ts";
import type { Expectation, TestGroup, TestStatus, Verdict } from "./verdict.ts";

/** `harness/constants/__init__.py` of swebench 5.0.2. */
export const START = ">>>>> Start Test Output";
export const END = ">>>>> End Test Output";
export const EXIT_CODE = ">>>>> Test Exit Code";
const BAD_CODES = [">>>>> Patch Apply Failed", ">>>>> Reset Failed", ">>>>> Tests Errored", ">>>>> Tests Timed Out"];

type Statuses = ReadonlyMap<string, TestStatus>;
type Reading = { readonly statuses: Statuses } | { readonly problem: string };

/** The rule `swebench@5.0.2`: `get_logs_eval` and `get_eval_report` of `harness/grading.py`. */
export function judgeSwebench5(log: string, expectation: Expectation, parse: Parser): Verdict {
  const reading = readLog(universalNewlines(log), parse);
  if ("problem" in reading) {
    const none = { success: [], failure: [] };
    return {
      found: false,
      problem: reading.problem,
      resolved: false,
      statuses: [],
      failToPass: none,
      passToPass: none,
    };
  }
  const { statuses } = reading;
  const failOnly = expectation.evalType === "fail_only";
  const failToPass = group(expectation.failToPass, statuses, failOnly ? didNotFail : nowPasses);
  const passToPass = group(expectation.passToPass, statuses, failOnly ? didNotFail : stillPasses);
  const resolved = failToPass.failure.length === 0 && passToPass.failure.length === 0;
  return { found: true, resolved, statuses: [...statuses], failToPass, passToPass };
}

/** `get_logs_eval`. */
function readLog(log: string, parse: Parser): Reading {
  const bad = BAD_CODES.find((code) => log.includes(code));
  if (bad !== undefined) return { problem: `the log contains ${JSON.stringify(bad)}` };
  const start = log.indexOf(START);
  if (start === -1 || !log.includes(END)) return { problem: "the log lacks the start or the end marker of the tests" };
  try {
    let statuses = parse(betweenMarkers(log, start));
    if (statuses.size === 0) statuses = parse(log);
    if (statuses.size === 0 && !suiteRan(log))
      return { problem: "the log names no test and shows no sign that any ran" };
    const failed = [...statuses.values()].some((status) => status === "FAILED" || status === "ERROR");
    if (exitedNonZero(log) && statuses.size > 0 && !failed) {
      return { problem: "the test command failed and yet the log names no failed test" };
    }
    return { statuses };
  } catch (error) {
    if (error instanceof UnparsableLog) return { problem: `the parser stops at ${error.message}` };
    throw error;
  }
}

/** `log.split(START)[1].split(END)[0]`. */
function betweenMarkers(log: string, start: number): string {
  const from = start + START.length;
  const next = log.indexOf(START, from);
  const section = log.slice(from, next === -1 ? undefined : next);
  const end = section.indexOf(END);
  return end === -1 ? section : section.slice(0, end);
}

/** `SUITE_RAN`, in forms that do not try each digit of a long number as its beginning. */
const SUITE_RAN = [
  String.raw`Executed [1-9]\p{Nd}* of \p{Nd}`,
  String.raw`TOTAL: [1-9]\p{Nd}* (?:SUCCESS|FAILED)`,
  String.raw`(?<=[1-9]\p{Nd}*) passing`,
  `Tests:[${SPACE}]+[1-9]`,
  String.raw`Test Suites:[${SPACE}]+(?:\p{Nd}+ [\p{L}\p{N}_]+, )*[1-9]\p{Nd}* total`,
  String.raw`(?<=^|\n)# tests [1-9]`,
  String.raw`(?<=[1-9]\p{Nd}*) specs?, \p{Nd}+ failures?`,
  String.raw`': ok(?=\n|$)`,
].map((pattern) => new RegExp(pattern, "u"));

function suiteRan(log: string): boolean {
  return SUITE_RAN.some((pattern) => pattern.test(log));
}

const RECORDED_EXIT = new RegExp(String.raw`${EXIT_CODE}:[${SPACE}]*-?(\p{Nd}+)`, "u");

/** The first record counts, also where the log has several. Python's `int` raises on more than 4,300 digits. */
function exitedNonZero(log: string): boolean {
  const digits = RECORDED_EXIT.exec(log)?.[1];
  if (digits !== undefined && digits.length > 4300) throw new UnparsableLog("an exit code of more than 4,300 digits");
  return digits !== undefined && !isZero(digits);
}

type Judgement = (status: TestStatus | undefined) => boolean | undefined;

/** `test_passed`, else `test_failed`; a status that is neither leaves the test out of both lists. */
const nowPasses: Judgement = (status) => {
  if (status === "PASSED" || status === "XFAIL") return true;
  return status === undefined || status === "FAILED" || status === "ERROR" || status === "SKIPPED" ? false : undefined;
};

/** `test_maintained`: a skipped test is no regression. */
const stillPasses: Judgement = (status) => (status === "SKIPPED" ? true : nowPasses(status));

const didNotFail: Judgement = (status) => status !== "FAILED";

function group(tests: readonly string[], statuses: Statuses, judgement: Judgement): TestGroup {
  const success: string[] = [];
  const failure: string[] = [];
  for (const test of tests) {
    const status = judgement === didNotFail ? statuses.get(test) : resolveCase(test, statuses);
    const good = judgement(status);
    if (good === true) success.push(test);
    if (good === false) failure.push(test);
  }
  return { success, failure };
}

/** `_resolve_case`: an id that was cut within its parameters stands for the tests that begin with it, if they agree. */
function resolveCase(test: string, statuses: Statuses): TestStatus | undefined {
  const exact = statuses.get(test);
  if (exact !== undefined || count(test, "[") <= count(test, "]")) return exact;
  const candidates = [...statuses].filter(([name]) => name.startsWith(test)).map(([, status]) => status);
  const agree = new Set(candidates.map((status) => status === "PASSED" || status === "XFAIL")).size === 1;
  return agree ? candidates[0] : undefined;
}
