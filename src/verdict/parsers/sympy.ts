import { eachLine, strip, words } from "../python-text.ts";
import type { Parser } from "./parser.ts";

/** `parse_log_sympy` of swebench 5.0.2. */
export const parseSympy: Parser = (log) => {
  const statuses = new Map<string, string>();
  eachLine(log, (line) => {
    const test = failureHeader(line);
    if (test !== undefined) statuses.set(test, "FAILED");
  });
  eachLine(log, (raw) => {
    const line = strip(raw);
    if (!line.startsWith("test_")) return;
    const test = words(line)[0] ?? line;
    if (line.endsWith(" E")) statuses.set(test, "ERROR");
    if (line.endsWith(" F")) statuses.set(test, "FAILED");
    if (line.endsWith(" ok")) statuses.set(test, "PASSED");
  });
  return statuses;
};

/**
 * `(_*) (.*)\.py:(.*) (_*)`, quadratic upstream. A line has at most one match: it begins at the line's first space and ends after its last, with
 * the last `.py:` between them in the middle.
 */
function failureHeader(line: string): string | undefined {
  const first = line.indexOf(" ");
  const last = line.lastIndexOf(" ");
  const middle = last < 4 ? -1 : line.lastIndexOf(".py:", last - 4);
  if (middle <= first) return undefined;
  return `${line.slice(first + 1, middle)}.py:${line.slice(middle + 4, last)}`;
}
