import { pythonPattern } from "../python-pattern.ts";
import { eachLine, isSpace, SPACE, strip } from "../python-text.ts";
import { ANSI } from "./ansi.ts";
import type { Parser } from "./parser.ts";

/** Parsers of logs that show only what failed. */

function failed(tests: Iterable<string>): Map<string, string> {
  const statuses = new Map<string, string>();
  for (const test of tests) statuses.set(test, "FAILED");
  return statuses;
}

const SPACES = new RegExp(`[${SPACE}]+`, "g");

/** `re.sub(r"\s+", " ", text).strip()`. */
function onOneLine(text: string): string {
  return strip(text.replace(SPACES, " "));
}

const CHROME = new RegExp(`Chrome[${SPACE}][\\p{Nd}.]+(?![\\r\\n])[${SPACE}]\\(`, "gu");

/** `parse_log_chart_js`: `Chrome 1.2 (Linux) suite test FAILED`, without colours. */
export const parseChartjs: Parser = (log) => failed(chromeFailures(log.replace(ANSI, "")));

/** `Chrome\s[\d\.]+[^\S\r\n]\(.+?\)[^\S\r\n](.*)FAILED$`. */
function* chromeFailures(log: string): Generator<string> {
  CHROME.lastIndex = 0;
  for (let match = CHROME.exec(log); match !== null; match = CHROME.exec(log)) {
    const lineEnd = endOfLine(log, CHROME.lastIndex);
    const nameEnd = lineEnd - "FAILED".length;
    if (nameEnd < CHROME.lastIndex || !log.startsWith("FAILED", nameEnd)) continue;
    const start = nameStart(log, CHROME.lastIndex + 1, nameEnd);
    if (start === undefined) continue;
    CHROME.lastIndex = lineEnd;
    yield log.slice(start, nameEnd);
  }
}

/** Behind the first `)` that white space follows. */
function nameStart(log: string, from: number, to: number): number | undefined {
  for (let at = log.indexOf(")", from); at !== -1 && at + 1 < to; at = log.indexOf(")", at + 1)) {
    if (isSpace(log[at + 1]) && log[at + 1] !== "\r") return at + 2;
  }
  return undefined;
}

function endOfLine(log: string, from: number): number {
  const end = log.indexOf("\n", from);
  return end === -1 ? log.length : end;
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

const BPMN = [
  String.raw`2KPhantomJS\s[\d.]+\s\(Linux\s[\d.]+\)\s(.*)FAILED\n`,
  String.raw`2KPhantomJS\s[\d.]+\s\(Linux\sx86_64\)\s(.*)FAILED\n`,
  String.raw`Chrome\sHeadless\s.*\s\(Linux\sx86_64\)\s(.*)FAILED\n`,
  String.raw`HeadlessChrome\s[\d.]+\s\(Linux\s[\d.]+\)\s(.*)FAILED\n`,
].map((pattern) => pythonPattern(pattern, "g"));

/** `parse_log_bpmn_js`: karma's failures, by the names that browsers give themselves. */
export const parseBpmn: Parser = (log) => failed(BPMN.flatMap((pattern) => namesOf(log, pattern)));

const OPENLAYERS = [
  String.raw`Chrome\sHeadless\s[\d.]+\s\(Linux\s\S+\)\s(.*)\sFAILED\n`,
  String.raw`Chrome\s[\d.]+\s\(Linux\s\S+\)\s(.*)FAILED\n`,
].map((pattern) => pythonPattern(pattern, "g"));
const OPENLAYERS_NUMBERED = pythonPattern(String.raw`^\s{2}\d+\)`, "gm");
const OPENLAYERS_CASE = pythonPattern(String.raw`^case\s(.*):\smismatch`, "gm");

/** `parse_log_openlayers`: failures of karma, of mocha (up to `Error:`) and of the rendering tests. */
export const parseOpenlayers: Parser = (log) =>
  failed(
    [
      ...OPENLAYERS.flatMap((pattern) => namesOf(log, pattern)),
      ...numberedUpTo(log, "Error:"),
      ...namesOf(log, OPENLAYERS_CASE),
    ].map(onOneLine),
  );

function namesOf(log: string, pattern: RegExp): readonly string[] {
  return [...log.matchAll(pattern)].map(([, test = ""]) => test);
}

function* numberedUpTo(log: string, ending: string): Generator<string> {
  OPENLAYERS_NUMBERED.lastIndex = 0;
  while (OPENLAYERS_NUMBERED.exec(log) !== null) {
    const start = OPENLAYERS_NUMBERED.lastIndex;
    const end = log.indexOf(ending, start);
    if (end === -1) return;
    OPENLAYERS_NUMBERED.lastIndex = end + ending.length;
    yield log.slice(start, end);
  }
}

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
