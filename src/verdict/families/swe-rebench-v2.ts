import { NO_INSTANCE, type Parser, startsWithAny, UnparsableLog } from "../parsers/parser.ts";
import { parsePytest4, parsePytestOptions4 } from "../parsers/pytest.ts";
import { PARSERS_4 } from "../parsers.ts";
import { SPACE, strip, universalNewlines } from "../python-text.ts";
import { conclude, noVerdict } from "../swebench-log.ts";
import type { Expectation, Verdict } from "../verdict.ts";
import { JSON_PARSERS } from "./json-statuses.ts";
import { pytestV2 } from "./pytest-v2.ts";

/** The rule of SWE-rebench V2: `scripts/eval.py` at c71902a. The whole log is read; every expected test must have passed, times in names aside. There it
 * wants no other test to pass; here, as in the copies of that code that trainers use, others may: a submission can bring tests. */
export function judgeSweRebenchV2(log: string, expectation: Expectation, parse: Parser): Verdict {
  try {
    const statuses = new Map(
      [...parse(universalNewlines(log), NO_INSTANCE)].map(([test, status]) => [withoutTimes(test), status]),
    );
    const statusOf = (test: string) => statuses.get(withoutTimes(test));
    const passed = (status: string | undefined) => status === "PASSED";
    return conclude(statuses, expectation, { statusOf, failToPass: passed, passToPass: passed });
  } catch (error) {
    if (error instanceof UnparsableLog) return noVerdict(`the parser stops at ${error.message}`, { raised: true });
    throw error;
  }
}

/** `_normalize_test_name`: how long a test took, in the three ways that runners write it. */
function withoutTimes(name: string): string {
  return strip(TIMES.reduce((text, pattern) => text.replace(pattern, ""), name));
}

const DURATION = String.raw`\p{Nd}+(?:\.\p{Nd}+)?`;
const END_OF_TEXT = "(?=\\n?$)";
const TIMES = [
  new RegExp(`[${SPACE}]*\\[[${SPACE}]*${DURATION}[${SPACE}]*(?:ms|s)[${SPACE}]*\\][${SPACE}]*${END_OF_TEXT}`, "giu"),
  new RegExp(`[${SPACE}]+in[${SPACE}]+${DURATION}[${SPACE}]+(?:msec|sec)(?![\\p{L}\\p{N}_])`, "giu"),
  new RegExp(`[${SPACE}]*\\([${SPACE}]*${DURATION}[${SPACE}]*(?:ms|s)[${SPACE}]*\\)[${SPACE}]*${END_OF_TEXT}`, "giu"),
];

/** Expected failures are no status here. */
const STATUSES = ["PASSED", "FAILED", "SKIPPED", "ERROR"];

function withoutExpectedFailures(parse: Parser): Parser {
  return (log, instance) => {
    const lines = log.includes("XFAIL") ? log.split("\n").filter((line) => !startsWithAny(line, ["XFAIL"])) : [log];
    return parse(lines.join("\n"), instance);
  };
}

/** Functions that the two projects have alike. */
const ALIKE = [
  "gotest",
  "cargo",
  "jq",
  "doctest",
  "micropython_test",
  "googletest",
  "minitest",
  "cucumber",
  "ruby_unit",
  "rspec_transformed_json",
  "maven",
  "ant",
  "chart_js",
  "jest",
  "jest_json",
  "vitest",
  "karma",
  "tap",
].map((name) => `parse_log_${name}`);

export const SWE_REBENCH_V2_PARSERS: ReadonlyMap<string, Parser> = new Map([
  ...[...PARSERS_4].filter(([name]) => ALIKE.includes(name)),
  ["parse_log_pytest", withoutExpectedFailures(parsePytest4)],
  ["parse_log_pytest_options", withoutExpectedFailures(parsePytestOptions4)],
  ["parse_log_pytest_v2", pytestV2({ statuses: STATUSES })],
  ...JSON_PARSERS,
]);
