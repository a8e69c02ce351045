import type { Parser } from "../parsers/parser.ts";
import { before, strip } from "../python-text.ts";
import { noVerdict, type Statuses } from "../swebench-log.ts";
import type { Expectation, Verdict } from "../verdict.ts";

/**
 * The rule of R2E-Gym: `_calculate_reward_r2e` of `agenthub/runtime/docker.py` at 69bc953. The tests that ran must be those of the expected map, each with its expected status, be that
 * a failure. Upstream raises at a test that is not expected; here, as in later copies of that code, it is a mismatch.
 */
export function judgeR2eGym(log: string, { expected = [] }: Expectation, parse: Parser): Verdict {
  const text = log.replace(ESCAPES, "");
  if (!text.includes(SUMMARY)) return noVerdict("the log has no summary of the tests", { raised: false });
  const got = named(parse(text, { id: "", version: "" }));
  const wanted = named(new Map(expected));
  const success = [...wanted].filter(([test, status]) => got.get(test) === status).map(([test]) => test);
  const failure = [...wanted].filter(([test, status]) => got.get(test) !== status).map(([test]) => test);
  const extra = [...got.keys()].filter((test) => !wanted.has(test)).length;
  const resolved = failure.length === 0 && got.size === wanted.size;
  return {
    ...{ found: true, raised: false, resolved, statuses: [...got] },
    failToPass: { success, failure },
    passToPass: { success: [], failure: [] },
    ...(!resolved && {
      reason: `${failure.length} tests did not end as expected, and ${extra} that are not expected were there`,
    }),
  };
}

const SUMMARY = "short test summary info";
// biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with an escape
const ESCAPES = /\x1b\[[0-9;]*m|\r/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above; `\d` is that of Python
const COLOUR = /\x1b\[\p{Nd}+m/gu;

/** `decolor_dict_keys`, then each key up to its first dash, in the order of the keys: of two that become one the later counts. */
function named(statuses: Statuses): Map<string, string> {
  const plain = new Map([...statuses].map(([test, status]) => [test.replace(COLOUR, ""), status]));
  const inOrder = [...plain].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return new Map(inOrder.map(([test, status]) => [before(test, " - "), status]));
}

/** `parse_log_pytest` of `repo_analysis/execution_log_parser.py`: the summary up to where it is mentioned again; ids without their file. */
const parseSummary: Parser = (log) => {
  const statuses = new Map<string, string>();
  const summary = log.split(SUMMARY, 2)[1] ?? "";
  for (const line of strip(summary).split("\n")) {
    const status = ["PASSED", "FAILED", "ERROR"].find((word) => line.includes(word));
    if (status === undefined) continue;
    const test = line.split("::").slice(1).join(".");
    statuses.set(status === "PASSED" ? test : before(test, " - "), status);
  }
  return statuses;
};

export const R2E_GYM_PARSERS: ReadonlyMap<string, Parser> = new Map([["pytest_summary", parseSummary]]);
