import type { Parser } from "../parsers/parser.ts";
import { PARSERS_4 } from "../parsers.ts";
import { passes } from "../swebench-4.ts";
import { conclude, noVerdict, readLog } from "../swebench-log.ts";
import type { Expectation, Verdict } from "../verdict.ts";

/** The rule of SWE-rebench: `harness/grading.py` of its fork of SWE-bench at 39316f7. What stands outside of the markers is never read. */
export function judgeSweRebench(log: string, expectation: Expectation, parse: Parser): Verdict {
  const reading = readLog(log, expectation, parse, { wholeIfEmpty: false });
  if ("problem" in reading) return noVerdict(reading.problem, reading);
  const { statuses } = reading;
  const statusOf = (test: string) => statuses.get(test);
  return conclude(statuses, expectation, { statusOf, failToPass: passes, passToPass: passes });
}

/** Those that the rows name. */
const NAMES = ["parse_log_pytest", "parse_log_pytest_options", "parse_log_pytest_v2"];

export const SWE_REBENCH_PARSERS: ReadonlyMap<string, Parser> = new Map(
  [...PARSERS_4].filter(([name]) => NAMES.includes(name)),
);
