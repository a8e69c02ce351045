import { classifyFailure } from "./official/infra-failure.ts";
import { type Parser, UnparsableLog } from "./parsers/parser.ts";
import { count, isZero, SPACE, universalNewlines } from "./python-text.ts";
import { conclude, failOnly, type Judgement, noVerdict, readLog, type Statuses } from "./swebench-log.ts";
import type { Expectation, TestStatus, Verdict } from "./verdict.ts";

export const EXIT_CODE = ">>>>> Test Exit Code";

/** The rule `swebench@5.0.2`: `get_logs_eval` and `get_eval_report` of `harness/grading.py`. */
export function judgeSwebench5(log: string, expectation: Expectation, parse: Parser): Verdict {
  const reading = readLog(log, expectation, parse, { confirm: whyNotBelieved });
  if ("problem" in reading) {
    const infra = classifyFailure(universalNewlines(log));
    return { ...noVerdict(reading.problem, reading), ...(infra && { infra }) };
  }
  const { statuses } = reading;
  if (expectation.evalType === "fail_only") return conclude(statuses, expectation, failOnly(statuses));
  const statusOf = (test: string) => resolveCase(test, statuses);
  return conclude(statuses, expectation, { statusOf, failToPass: nowPasses, passToPass: stillPasses });
}

function whyNotBelieved(statuses: Statuses, content: string): string | undefined {
  if (statuses.size === 0 && !suiteRan(content)) return "the log names no test and shows no sign that any ran";
  const failed = [...statuses.values()].some((status) => status === "FAILED" || status === "ERROR");
  if (exitedNonZero(content) && statuses.size > 0 && !failed) {
    return "the test command failed and yet the log names no failed test";
  }
  return undefined;
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
  if (digits !== undefined && [...digits].length > 4300)
    throw new UnparsableLog("an exit code of more than 4,300 digits");
  return digits !== undefined && !isZero(digits);
}

/** `test_passed`, else `test_failed`; a status that is neither leaves the test out of both lists. */
const nowPasses: Judgement = (status) => {
  if (status === "PASSED" || status === "XFAIL") return true;
  return status === undefined || status === "FAILED" || status === "ERROR" || status === "SKIPPED" ? false : undefined;
};

/** `test_maintained`: a skipped test is no regression. */
const stillPasses: Judgement = (status) => (status === "SKIPPED" ? true : nowPasses(status));

/** `_resolve_case`: an id that was cut within its parameters stands for the tests that begin with it, if they agree. */
function resolveCase(test: string, statuses: Statuses): TestStatus | undefined {
  const exact = statuses.get(test);
  if (exact !== undefined || count(test, "[") <= count(test, "]")) return exact;
  const candidates = [...statuses].filter(([name]) => name.startsWith(test)).map(([, status]) => status);
  const agree = new Set(candidates.map((status) => status === "PASSED" || status === "XFAIL")).size === 1;
  return agree ? candidates[0] : undefined;
}
