import type { Parser } from "./parsers/parser.ts";
import { conclude, failOnly, type Judgement, noVerdict, readLog } from "./swebench-log.ts";
import type { Expectation, Verdict } from "./verdict.ts";

/** The rule `swebench@4.1.0`: `get_logs_eval` and `get_eval_report` of `harness/grading.py`. */
export function judgeSwebench4(log: string, expectation: Expectation, parse: Parser): Verdict {
  const reading = readLog(log, expectation, parse);
  if ("problem" in reading) return noVerdict(reading.problem, reading);
  const { statuses } = reading;
  if (expectation.evalType === "fail_only") return conclude(statuses, expectation, failOnly(statuses));
  const statusOf = (test: string) => statuses.get(test);
  return conclude(statuses, expectation, { statusOf, failToPass: passes, passToPass: passes });
}

/** `test_passed`, else `test_failed`; a skipped test, and one of any other status, is in neither list. */
export const passes: Judgement = (status) => {
  if (status === "PASSED" || status === "XFAIL") return true;
  return status === undefined || status === "FAILED" || status === "ERROR" ? false : undefined;
};
