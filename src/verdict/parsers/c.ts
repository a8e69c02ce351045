import { isSpace, skipSpace, strip } from "../python-text.ts";
import { beforeTiming } from "./jest.ts";
import { lineParser, type Result } from "./line.ts";
import type { Parser } from "./parser.ts";

const REDIS: readonly Result[] = [
  ["[ok]:", "PASSED"],
  ["[err]:", "FAILED"],
  ["[skip]:", "SKIPPED"],
  ["[ignore]:", "SKIPPED"],
];

/** `parse_log_redis`: `[ok]: name (5 ms)`; a failed test's name loses the ` in FILE` at its end. */
export const parseRedis: Parser = lineParser((line) => {
  const [word, status] = REDIS.find(([start]) => line.startsWith(start)) ?? [];
  if (word === undefined || status === undefined || !isSpace(line[word.length])) return undefined;
  const test = beforeTiming(line.slice(word.length + 1));
  if (test === "") return undefined;
  return [status === "FAILED" ? withoutPlace(test) : test, status];
});

/** `re.sub(r"\s+in\s+\S+$", "", name)`. */
function withoutPlace(test: string): string {
  const place = wordStart(test, test.length);
  const gap = place === test.length ? place : blankStart(test, place);
  const within = gap - 2;
  if (gap === place || within < 1 || test.slice(within, gap) !== "in" || !isSpace(test[within - 1])) return test;
  return test.slice(0, blankStart(test, within));
}

function wordStart(text: string, end: number): number {
  let at = end;
  while (at > 0 && !isSpace(text[at - 1])) at -= 1;
  return at;
}

function blankStart(text: string, end: number): number {
  let at = end;
  while (at > 0 && isSpace(text[at - 1])) at -= 1;
  return at;
}

/** `parse_log_jq`: `PASS: name`. */
export const parseJq: Parser = lineParser((line) => {
  const passed = line.startsWith("PASS:");
  if ((!passed && !line.startsWith("FAIL:")) || !isSpace(line[5]) || line.length === 6) return undefined;
  return [line.slice(6), passed ? "PASSED" : "FAILED"];
});

const MICROPYTHON: readonly Result[] = [
  ["pass", "PASSED"],
  ["FAIL", "FAILED"],
  ["skip", "SKIPPED"],
];

/** `parse_log_micropython_test`: `pass  name`. */
export const parseMicropython: Parser = lineParser((line) => {
  const status = MICROPYTHON.find(([word]) => line.startsWith(word))?.[1];
  return status === undefined || !isSpace(line[4]) ? undefined : [line.slice(skipSpace(line, 4)), status];
});

const MARK = /\[([^[\]]*)\]/g;

/** `parse_log_googletest`: `[ OK ] name (0 ms)`: `^.*\[\s*(OK|FAILED)\s*\]\s(.*)\s\(.*\)$`, the last such mark that leaves a name. */
export const parseGoogletest: Parser = lineParser((line) => {
  const nameEnd = line.endsWith(")") ? lastOpening(line) : -1;
  let result: Result | undefined;
  if (nameEnd === -1) return undefined;
  for (const mark of line.matchAll(MARK)) {
    const start = mark.index + mark[0].length + 1;
    if (start > nameEnd) break;
    const word = strip(mark[1] ?? "");
    if ((word !== "OK" && word !== "FAILED") || !isSpace(line[start - 1])) continue;
    result = [line.slice(start, nameEnd), word === "OK" ? "PASSED" : "FAILED"];
  }
  return result;
});

/** The place of the last white space with a `(` behind it that is not the line's end. */
function lastOpening(line: string): number {
  for (let at = line.lastIndexOf("(", line.length - 2); at > 0; at = line.lastIndexOf("(", at - 1)) {
    if (isSpace(line[at - 1])) return at - 1;
  }
  return -1;
}
