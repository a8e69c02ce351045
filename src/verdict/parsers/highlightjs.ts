import { pythonPattern } from "../python-pattern.ts";
import { after, eachLine, strip } from "../python-text.ts";
import type { Parser } from "./parser.ts";

const SUMMARY = pythonPattern(String.raw`\n[ \t]*\d+ passing`);
const NUMBERED = pythonPattern(String.raw`^\d+\)`);
const TIMING = pythonPattern(String.raw`\(\d+ms\)`, "g");

/** `parse_log_highlightjs`: mocha's results above its summary, each below the last line that is indented and no result. */
export const parseHighlightjs: Parser = (log) => {
  const statuses = new Map<string, string>();
  let suite: readonly string[] = [];
  const summary = SUMMARY.exec(log)?.index;
  eachLine(summary === undefined ? log : log.slice(0, summary), (line) => {
    const text = strip(line);
    const sign = ["✓", "✔"].find((one) => text.startsWith(one));
    if (sign !== undefined) statuses.set(nameOf(suite, after(line, sign)), "PASSED");
    else if (NUMBERED.test(text)) statuses.set(nameOf(suite, after(line, ")")), "FAILED");
    else if (line.startsWith("  ")) suite = [text];
  });
  return statuses;
};

function nameOf(suite: readonly string[], text: string): string {
  return [...suite, strip(text.replace(TIMING, ""))].join(".");
}
