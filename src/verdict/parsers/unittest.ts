import { eachLine, strip } from "../python-text.ts";
import type { Parser } from "./parser.ts";

/**
 * `python -m unittest -v`, ids `module.Class.test` on every version of Python. The `FAIL:` and `ERROR:` sections at the end have the last word,
 * since what a test prints can break its own line.
 */
export const parseUnittest: Parser = (log) => {
  const statuses = new Map<string, string>();
  const failures = new Map<string, string>();
  let current: string | undefined;
  let afterRule = false;
  eachLine(log, (line) => {
    const section = afterRule ? SECTION.exec(line) : null;
    afterRule = RULE.test(line);
    const header = section === null ? HEADER.exec(line) : null;
    if (section !== null) {
      failures.set(testId(section[2], section[3]), section[1] === "ERROR" ? "ERROR" : "FAILED");
      current = undefined;
    } else if (header !== null) {
      current = testId(header[1], header[2]);
      if (readResult(header[3] ?? "", current, statuses)) current = undefined;
    } else if (current !== undefined && readResult(line, current, statuses)) {
      current = undefined;
    }
  });
  for (const [test, status] of failures) statuses.set(test, status);
  return statuses;
};

const RULE = /^={70}$/;
const SECTION = /^(FAIL|ERROR|UNEXPECTED SUCCESS): ([\p{L}\p{N}_]+) \(([^\s()]+)\)/u;
/** A test's own line; indented, with parameters after it, for a subtest. */
const HEADER = /^ *([\p{L}\p{N}_]+) \(([^\s()]+)\)(?=$| \.\.\. | \(| \[)(.*)$/u;
const RESULTS: readonly (readonly [RegExp, string])[] = [
  [/(^|(?:^| )\.\.\. )ok$/, "PASSED"],
  [/(^|(?:^| )\.\.\. )FAIL$/, "FAILED"],
  [/(^|(?:^| )\.\.\. )ERROR$/, "ERROR"],
  [/(^|(?:^| )\.\.\. )skipped (['"]).*\2$/, "SKIPPED"],
  [/(^|(?:^| )\.\.\. )expected failure$/, "XFAIL"],
  [/(^|(?:^| )\.\.\. )unexpected success$/, "FAILED"],
  /** A test that printed without a line feed before it passed. One that failed has its section. */
  [/ok$/, "PASSED"],
];

/** True when the test's line is whole: a result that stands apart may be something that the test printed, and a later one counts. */
function readResult(text: string, test: string, statuses: Map<string, string>): boolean {
  const line = strip(text);
  const result = RESULTS.find(([pattern]) => pattern.test(line));
  if (result === undefined) return false;
  const [pattern, status] = result;
  statuses.set(test, status);
  return pattern.exec(line)?.[1]?.endsWith("... ") === true;
}

/** Python 3.11 and later repeat the method's name after the class. */
function testId(name = "", place = ""): string {
  return place === name || place.endsWith(`.${name}`) ? place : `${place}.${name}`;
}
