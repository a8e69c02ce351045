import type { Parser } from "../parsers/parser.ts";
import { before, eachLine, SPACE, universalNewlines, words } from "../python-text.ts";
import { passes } from "../swebench-4.ts";
import { conclude, END, noVerdict, START } from "../swebench-log.ts";
import type { Expectation, Verdict } from "../verdict.ts";

/** The rule of SWE-smith: `harness/grading.py` at 3a7c6bb. A skipped test is in neither list, an absent one failed. */
export function judgeSweSmith(log: string, expectation: Expectation, parse: Parser): Verdict {
  const content = universalNewlines(log);
  const bad = BAD_CODES.find((code) => content.includes(code));
  if (bad !== undefined) return noVerdict(`the log contains ${JSON.stringify(bad)}`, { raised: false });
  if (!content.includes(START) || !content.includes(END)) {
    return noVerdict("the log lacks the start or the end marker of the tests", { raised: false });
  }
  const section = betweenTraces(content);
  if (section === undefined) return noVerdict("the markers of the tests are not in order", { raised: true });
  const statuses = parse(section, NO_ROW);
  const statusOf = (test: string) => statuses.get(test);
  return conclude(statuses, expectation, { statusOf, failToPass: passes, passToPass: passes });
}

const BAD_CODES = [">>>>> Patch Apply Failed", ">>>>> Tests Timed Out"];
const NO_ROW = { id: "", version: "" };

/** `read_test_output`: from the first trace of the start marker to the first of the end marker, as slices of Python count. Undefined: it raises. */
function betweenTraces(content: string): string | undefined {
  const trace = `+ : '${START}'`;
  const start = content.indexOf(trace);
  const end = content.indexOf(`+ : '${END}'`);
  if (start > end) return undefined;
  // Not a single trace of the start: the slice begins at the last character.
  return start === -1 ? "" : content.slice(start, end).slice(trace.length);
}

const STATUSES = ["FAILED", "PASSED", "SKIPPED", "ERROR", "XFAIL"];

/** A parser that takes a status and a name out of each line that one pattern of each status matches. */
function byPattern(pattern: (status: string) => string): Parser {
  const patterns = STATUSES.map((status) => ({ status, regex: new RegExp(pattern(status), "u") }));
  return (log) => {
    const statuses = new Map<string, string>();
    eachLine(log, (line) => {
      for (const { status, regex } of patterns) {
        const name = regex.exec(line)?.[1];
        if (name !== undefined) statuses.set(name, status);
      }
    });
    return statuses;
  };
}

/** `pytest -v`: the id, then the status. */
const parseVerbose = byPattern((status) => `^([^${SPACE}]+)[${SPACE}]+${status}`);
/** `pytest -rA`. */
const parseSummary = byPattern((status) => `^${status}[${SPACE}]([^${SPACE}]+)`);
/** `pytest -v -n`. */
const parseWorkers = byPattern((status) => `^\\[gw\\p{Nd}\\][${SPACE}]${status}[${SPACE}]([^${SPACE}]+)`);

/** `unittest -v`, where the name and its outcome stand on one line. */
const parseOneLine: Parser = (log) => {
  const statuses = new Map<string, string>();
  eachLine(log, (line) => {
    const found = ONE_LINE.exec(line);
    const status = OUTCOMES.get(found?.[2] ?? "");
    if (found?.[1] !== undefined && status !== undefined) statuses.set(found[1], status);
  });
  return statuses;
};
const ONE_LINE = new RegExp(`^([a-zA-Z0-9_\\-,.${SPACE}()']+)[${SPACE}]\\.{3}[${SPACE}](ok|FAIL|ERROR)$`);
const OUTCOMES = new Map([
  ["ok", "PASSED"],
  ["FAIL", "FAILED"],
  ["ERROR", "ERROR"],
]);

/** The runner of tornado: what failed is read from the headings of the tracebacks. */
const parseTornado: Parser = (log) => {
  const statuses = new Map<string, string>();
  eachLine(log, (line) => {
    if (line.endsWith("... ok")) statuses.set(before(line, " ... "), "PASSED");
    else if (line.includes(" ... skipped ")) statuses.set(before(line, " ... "), "SKIPPED");
    else if (line.startsWith("ERROR:") || line.startsWith("FAIL:")) {
      statuses.set(words(line).slice(1, 3).join(" "), "FAILED");
    }
  });
  return statuses;
};

export const SWE_SMITH_PARSERS: ReadonlyMap<string, Parser> = new Map([
  ["pytest_verbose", parseVerbose],
  ["pytest_summary", parseSummary],
  ["pytest_workers", parseWorkers],
  ["unittest_one_line", parseOneLine],
  ["tornado", parseTornado],
]);
