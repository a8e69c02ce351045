import { pythonPattern } from "../python-pattern.ts";
import { eachLine, skipSpace } from "../python-text.ts";
import { beforeParenthesis } from "./line.ts";
import type { Parser } from "./parser.ts";

const STATUS: ReadonlyMap<string, string> = new Map([
  ["✔", "PASSED"],
  ["✘", "FAILED"],
  ["↩", "SKIPPED"],
]);

/** At least two characters, of which the first belongs to a word. */
const SUITE = pythonPattern(String.raw`^\w.`);

/** `parse_log_phpunit` (`--testdox`): a line `Suite (Class)` is the suite of the tests below it; before the first one it is Python's `None`. */
export const parsePhpunit: Parser = (log) => {
  const statuses = new Map<string, string>();
  let suite = "None";
  eachLine(log, (line) => {
    const header = beforeParenthesis(line);
    if (header !== undefined && SUITE.test(header)) {
      suite = header;
      return;
    }
    const at = skipSpace(line, 0);
    const status = STATUS.get(line[at] ?? "");
    if (status !== undefined) statuses.set(`${suite} > ${line.slice(skipSpace(line, at + 1))}`, status);
  });
  return statuses;
};
