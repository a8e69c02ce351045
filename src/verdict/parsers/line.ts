import { eachLine, strip } from "../python-text.ts";
import type { TestStatus } from "../verdict.ts";
import type { Parser } from "./parser.ts";

export type Result = readonly [test: string, status: TestStatus];

/** Reads every line by itself, stripped, as most official parsers do: a test's last line counts. */
export function lineParser(read: (line: string) => Result | undefined): Parser {
  return (log) => {
    const statuses = new Map<string, TestStatus>();
    eachLine(log, (line) => {
      const result = read(strip(line));
      if (result !== undefined) statuses.set(...result);
    });
    return statuses;
  };
}

/** `(.+) \((.+)\)$`: what stands before the last parenthesis that a blank precedes and something fills, at the line's end. */
export function beforeParenthesis(text: string): string | undefined {
  if (!text.endsWith(")") || text.length < 5) return undefined;
  const at = text.lastIndexOf(" (", text.length - 4);
  return at < 1 ? undefined : text.slice(0, at);
}
