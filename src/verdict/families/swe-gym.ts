import { NO_INSTANCE, type Parser, STATUSES, UnparsableLog } from "../parsers/parser.ts";
import { parsePytest4 } from "../parsers/pytest.ts";
import { universalNewlines } from "../python-text.ts";
import { passes } from "../swebench-4.ts";
import { BAD_CODES, conclude, noVerdict } from "../swebench-log.ts";
import type { Expectation, Verdict } from "../verdict.ts";
import { pytestV2 } from "./pytest-v2.ts";

/**
 * The rule of SWE-Gym: `harness/grading.py` at 16dd480, that of SWE-bench 2.1. No markers: the log must show that a patch, which is that of the tests, was
 * applied, and is read whole, unless it says that the submission was.
 */
export function judgeSweGym(log: string, expectation: Expectation, parse: Parser): Verdict {
  const content = universalNewlines(log);
  const bad = [...BAD_CODES, "Failed to reset task environment"].find((code) => content.includes(code));
  if (bad !== undefined) return noVerdict(`the log contains ${JSON.stringify(bad)}`, { raised: false });
  if (!/applied patch/i.test(content)) {
    return noVerdict("the log does not show that the tests were applied", { raised: false });
  }
  const section = content.slice(
    content.lastIndexOf(APPLIED) === -1 ? 0 : content.lastIndexOf(APPLIED) + APPLIED.length,
  );
  try {
    const statuses = parse(section, expectation.instance ?? NO_INSTANCE);
    const statusOf = (test: string) => statuses.get(test);
    return conclude(statuses, expectation, { statusOf, failToPass: passes, passToPass: passes });
  } catch (error) {
    if (error instanceof UnparsableLog) return noVerdict(`the parser stops at ${error.message}`, { raised: true });
    throw error;
  }
}

const APPLIED = ">>>>> Applied Patch (pred)";

/** The progress that stands between a status and its test is dropped. */
const parsePydantic = pytestV2({
  statuses: STATUSES,
  prepare: (line) => line.replace(/FAILED\s*\[[^\n]*?\]/gu, "FAILED"),
});

export const SWE_GYM_PARSERS: ReadonlyMap<string, Parser> = new Map([
  ["parse_log_pytest", parsePytest4],
  ["parse_log_pydantic", parsePydantic],
]);
