import { pythonPattern } from "../python-pattern.ts";
import { lineParser } from "./line.ts";
import type { Parser } from "./parser.ts";

const RESULT = pythonPattern(String.raw`^(not )?ok \d+ `);

/** `parse_log_tap`: `ok 1 name`, the name with whatever the line has. */
export const parseTap: Parser = lineParser((line) => {
  const match = RESULT.exec(line);
  if (match === null || match[0].length === line.length) return undefined;
  return [line.slice(match[0].length), match[1] === undefined ? "PASSED" : "FAILED"];
});
