import { pythonPattern } from "../python-pattern.ts";
import { isSpace } from "../python-text.ts";
import { ANSI } from "./ansi.ts";
import { failed, onOneLine } from "./failures.ts";
import type { Parser } from "./parser.ts";

/**
 * Karma prints a browser's name, a test's name and FAILED on one line. The official patterns take time that grows with the square of a line that
 * repeats a browser's name; here each line is looked at once.
 */

/** Where the lines of a text end, asked for in the order of the text. */
class LineEnds {
  readonly #text: string;
  #end = -1;

  constructor(text: string) {
    this.#text = text;
  }

  /** The line feed that ends the line of `at`, or the end of the text. */
  of(at: number): number {
    if (at <= this.#end) return this.#end;
    const end = this.#text.indexOf("\n", at);
    this.#end = end === -1 ? this.#text.length : end;
    return this.#end;
  }
}

/** Where a name lies that a header announces, and where the search goes on behind it. */
interface Found {
  readonly from: number;
  readonly to: number;
  readonly next: number;
}

/** The names behind the headers that a pattern finds; `find` is told where a header ends and where its line does. */
function* namesBehind(
  log: string,
  header: RegExp,
  find: (headerEnd: number, lineEnd: number) => Found | undefined,
): Generator<string> {
  const ends = new LineEnds(log);
  header.lastIndex = 0;
  while (header.exec(log) !== null) {
    const found = find(header.lastIndex, ends.of(header.lastIndex));
    if (found === undefined) continue;
    header.lastIndex = found.next;
    yield log.slice(found.from, found.to);
  }
}

const FAILED = "FAILED";

/** `(.*)FAILED\n`: all of the line but that word. */
const upToFailed = (log: string) => (headerEnd: number, lineEnd: number) => {
  const to = lineEnd - FAILED.length;
  return lineEnd < log.length && to >= headerEnd && log.startsWith(FAILED, to)
    ? { from: headerEnd, to, next: lineEnd + 1 }
    : undefined;
};

const CHROME = pythonPattern(String.raw`Chrome\s[\d.]+(?![\r\n])\s\(`, "g");

/** `parse_log_chart_js`: `Chrome 1.2 (Linux) suite test FAILED`, without colours: `Chrome\s[\d\.]+[^\S\r\n]\(.+?\)[^\S\r\n](.*)FAILED$`. */
export const parseChartjs: Parser = (coloured) => {
  const log = coloured.replace(ANSI, "");
  let hopeless = -1;
  return failed(
    namesBehind(log, CHROME, (headerEnd, lineEnd) => {
      const to = lineEnd - FAILED.length;
      if (lineEnd === hopeless || to < headerEnd || !log.startsWith(FAILED, to)) return undefined;
      const from = behindParenthesis(log, headerEnd + 1, to);
      if (from !== undefined) return { from, to, next: lineEnd };
      hopeless = lineEnd;
      return undefined;
    }),
  );
};

/** Behind the first `)` that white space follows. */
function behindParenthesis(log: string, start: number, to: number): number | undefined {
  for (let at = log.indexOf(")", start); at !== -1 && at + 1 < to; at = log.indexOf(")", at + 1)) {
    if (isSpace(log[at + 1]) && log[at + 1] !== "\r") return at + 2;
  }
  return undefined;
}

const [PHANTOM_OLD, PHANTOM, HEADLESS] = [
  pythonPattern(String.raw`2KPhantomJS\s[\d.]+\s\(Linux\s[\d.]+\)\s`, "g"),
  pythonPattern(String.raw`2KPhantomJS\s[\d.]+\s\(Linux\sx86_64\)\s`, "g"),
  pythonPattern(String.raw`HeadlessChrome\s[\d.]+\s\(Linux\s[\d.]+\)\s`, "g"),
];
const CHROME_HEADLESS = pythonPattern(String.raw`Chrome\sHeadless\s`, "g");
const ON_LINUX = pythonPattern(String.raw`\s\(Linux\sx86_64\)(?=\s)`, "g");

/** `parse_log_bpmn_js`: by the names that four browsers give themselves. */
export const parseBpmn: Parser = (log) =>
  failed([
    ...namesBehind(log, PHANTOM_OLD, upToFailed(log)),
    ...namesBehind(log, PHANTOM, upToFailed(log)),
    ...namesBehind(log, CHROME_HEADLESS, onLinux(log)),
    ...namesBehind(log, HEADLESS, upToFailed(log)),
  ]);

/** `(.*)\s\(Linux\sx86_64\)\s(.*)FAILED\n`: the last such system that begins on the header's line and has a failure behind it. */
function onLinux(log: string) {
  const find = upToFailed(log);
  const ends = new LineEnds(log);
  const systems = [...log.matchAll(ON_LINUX)].flatMap((match) => {
    const end = match.index + match[0].length + 1;
    const found = find(end, ends.of(end));
    return found === undefined ? [] : [{ start: match.index, found }];
  });
  let next = 0;
  return (headerEnd: number, lineEnd: number): Found | undefined => {
    while ((systems[next]?.start ?? Number.POSITIVE_INFINITY) <= lineEnd) next += 1;
    const last = systems[next - 1];
    return last !== undefined && last.start >= headerEnd ? last.found : undefined;
  };
}

const [CHROME_HEADLESS_LINUX, CHROME_LINUX] = [
  pythonPattern(String.raw`Chrome\sHeadless\s[\d.]+\s\(Linux\s\S+\)\s`, "g"),
  pythonPattern(String.raw`Chrome\s[\d.]+\s\(Linux\s\S+\)\s`, "g"),
];
const NUMBERED = pythonPattern(String.raw`^\s{2}\d+\)`, "gm");
const CASE = pythonPattern(String.raw`^case\s(.*):\smismatch`, "gm");

/** `parse_log_openlayers`: failures of karma, of mocha (up to `Error:`) and of the rendering tests. */
export const parseOpenlayers: Parser = (log) =>
  failed(
    [
      ...namesBehind(log, CHROME_HEADLESS_LINUX, upToSpaceFailed(log)),
      ...namesBehind(log, CHROME_LINUX, upToFailed(log)),
      ...numberedUpTo(log, "Error:"),
      ...[...log.matchAll(CASE)].map(([, test = ""]) => test),
    ].map(onOneLine),
  );

/** `(.*)\sFAILED\n`, where the white space can also be the line feed. */
const upToSpaceFailed = (log: string) => (headerEnd: number, lineEnd: number) => {
  if (log.startsWith(`\n${FAILED}\n`, lineEnd))
    return { from: headerEnd, to: lineEnd, next: lineEnd + FAILED.length + 2 };
  const found = upToFailed(log)(headerEnd, lineEnd);
  if (found === undefined || found.to === headerEnd || !isSpace(log[found.to - 1])) return undefined;
  return { ...found, to: found.to - 1 };
};

function* numberedUpTo(log: string, ending: string): Generator<string> {
  NUMBERED.lastIndex = 0;
  while (NUMBERED.exec(log) !== null) {
    const start = NUMBERED.lastIndex;
    const end = log.indexOf(ending, start);
    if (end === -1) return;
    NUMBERED.lastIndex = end + ending.length;
    yield log.slice(start, end);
  }
}
