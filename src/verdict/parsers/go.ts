import { beforeParenthesis, lineParser } from "./line.ts";
import type { Parser } from "./parser.ts";

const STATUS: ReadonlyMap<string, string> = new Map([
  ["PASS", "PASSED"],
  ["FAIL", "FAILED"],
  ["SKIP", "SKIPPED"],
]);

/** `parse_log_gotest`: `--- PASS: TestName (0.00s)`. */
export const parseGo: Parser = lineParser((line) => {
  if (!line.startsWith("--- ") || line.slice(8, 10) !== ": ") return undefined;
  const status = STATUS.get(line.slice(4, 8));
  const test = beforeParenthesis(line.slice(10));
  return status === undefined || test === undefined ? undefined : [test, status];
});
