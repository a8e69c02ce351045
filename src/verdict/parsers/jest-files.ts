import { lastMatch, pythonPattern } from "../python-pattern.ts";
import { eachLine, isSpace, strip } from "../python-text.ts";
import type { Parser } from "./parser.ts";

const OUTCOMES = [
  ["PASS", "PASSED"],
  ["FAIL", "FAILED"],
] as const;
const TIMINGS = [String.raw`\s\([\d.]+ms\)`, String.raw`\s\([\d.]+\ss\)`, String.raw`\s\([\d.]+s\)`].map((timing) =>
  pythonPattern(timing, "g"),
);

/** `parse_log_carbon`, `parse_log_react_pdf` and their namesakes: `PASS file (5.1 s)`, a status per file of tests. */
export const parseJestFiles: Parser = (log) => {
  const statuses = new Map<string, string>();
  eachLine(log, (line) => {
    const status = OUTCOMES.find(([word]) => line.startsWith(word))?.[1];
    if (status !== undefined && isSpace(line[4])) statuses.set(beforeTiming(line.slice(5)), status);
  });
  return statuses;
};

/** What precedes the last timing of the first kind that there is. */
function beforeTiming(text: string): string {
  for (const timing of TIMINGS) {
    const at = lastMatch(text, timing)?.index;
    if (at !== undefined) return text.slice(0, at);
  }
  return text;
}

const FAILURES = pythonPattern(String.raw`^FAIL\s(.*)`, "gm");
const SUCCESSES = pythonPattern(String.raw`^PASS\s(.*)`, "gm");
const TIMING_AT_END = pythonPattern(String.raw`\s\([\d.]+\s?(?:ms|s)\)$`);

/** `parse_log_emotion`: the failures of the whole log, then its successes. */
export const parseEmotion: Parser = (log) => parseFiles(log, strip);

/** `parse_log_grommet`: the same without the timings. */
export const parseGrommet: Parser = (log) => parseFiles(log, (text) => strip(text).replace(TIMING_AT_END, ""));

function parseFiles(log: string, name: (text: string) => string): Map<string, string> {
  const statuses = new Map<string, string>();
  for (const [, text = ""] of log.matchAll(FAILURES)) statuses.set(name(text), "FAILED");
  for (const [, text = ""] of log.matchAll(SUCCESSES)) statuses.set(name(text), "PASSED");
  return statuses;
}
