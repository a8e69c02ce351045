import { pythonPattern } from "../python-pattern.ts";
import { eachLine, isSpace, SPACE, strip } from "../python-text.ts";
import type { Parser } from "./parser.ts";

/** Parsers of logs that show only what failed. */

export function failed(tests: Iterable<string>): Map<string, string> {
  const statuses = new Map<string, string>();
  for (const test of tests) statuses.set(test, "FAILED");
  return statuses;
}

const SPACES = new RegExp(`[${SPACE}]+`, "g");

/** `re.sub(r"\s+", " ", text).strip()`. */
export function onOneLine(text: string): string {
  return strip(text.replace(SPACES, " "));
}

const MARKED = pythonPattern(String.raw`^\d+\)\s`);

/** `parse_log_marked`: `1) name`. */
export const parseMarked: Parser = (log) => {
  const statuses = new Map<string, string>();
  eachLine(log, (line) => {
    const match = MARKED.exec(line);
    if (match !== null) statuses.set(strip(line.slice(match[0].length)), "FAILED");
  });
  return statuses;
};

const ESLINT = pythonPattern(String.raw`\s{2}\d+\)`, "g");

/** `parse_log_eslint`: `(\s{2}\d+\))([\s\S]*?)\s+(?:(.*)Error)`: from a number to the white space before a line, or the rest of one, with `Error`. */
export const parseEslint: Parser = (log) => failed(eslintFailures(log));

function* eslintFailures(log: string): Generator<string> {
  ESLINT.lastIndex = 0;
  while (ESLINT.exec(log) !== null) {
    const start = ESLINT.lastIndex;
    const found = blankBeforeError(log, start);
    if (found === undefined) return;
    ESLINT.lastIndex = found.end;
    yield onOneLine(log.slice(start, found.blank));
  }
}

/** The first white space whose run ends on a line that has an `Error` behind it, and where the last one of that line ends. */
function blankBeforeError(log: string, from: number): { readonly blank: number; readonly end: number } | undefined {
  let blank = from;
  for (let error = log.indexOf("Error", from); error !== -1; error = log.indexOf("Error", error + 1)) {
    const lineEnd = endOfLine(log, error);
    const last = log.lastIndexOf("Error", lineEnd - "Error".length);
    const lineStart = log.lastIndexOf("\n", error) + 1;
    blank = firstBlank(log, Math.max(blank, blankStart(log, lineStart, from)), last);
    if (blank < last) return { blank, end: last + "Error".length };
    error = last;
  }
  return undefined;
}

/** The first white space from `from` on; `to` when there is none before it. */
function firstBlank(log: string, from: number, to: number): number {
  let at = from;
  while (at < to && !isSpace(log[at])) at += 1;
  return at;
}

/** Where the white space that ends at `end` begins, but not before `least`. */
function blankStart(log: string, end: number, least: number): number {
  let at = end;
  while (at > least && isSpace(log[at - 1])) at -= 1;
  return at;
}

function endOfLine(log: string, from: number): number {
  const end = log.indexOf("\n", from);
  return end === -1 ? log.length : end;
}
