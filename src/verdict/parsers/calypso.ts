import { pythonPattern } from "../python-pattern.ts";
import { eachLine, indentOf, isSpace, strip } from "../python-text.ts";
import { type Parser, UnparsableLog } from "./parser.ts";
import { Suites } from "./suites.ts";

const COMMAND = " ./node_modules/.bin/jest ";
const TIMING = pythonPattern(String.raw`\(\d+ms\)`);
const TIMING_AT_END = pythonPattern(String.raw`\(\d+ms\)$`);

/** `parse_log_calypso`: of each run of jest, what comes before its summary or its first report of a failure. */
export const parseCalypso: Parser = (log) => {
  const statuses = new Map<string, string>();
  const suites = new Suites();
  for (const run of log.split(COMMAND).slice(1)) {
    let over = false;
    eachLine(run, (line) => {
      over ||= line.startsWith("Test Suites") || line.startsWith("  ● ");
      if (over) return;
      const sign = line[indentOf(line)];
      if (sign === "✓" || sign === "✕") {
        const test = strip(`${suites.names.join(" - ")} - ${nameOf(line)}`);
        statuses.set(test, sign === "✓" ? "PASSED" : "FAILED");
      } else suites.read(line);
    });
  }
  return statuses;
};

/** The official pattern wants white space around the sign, and a timing, if there is any, at the end. */
function nameOf(line: string): string {
  const sign = indentOf(line);
  const text = line.slice(sign + 2);
  const end = TIMING.test(line) ? TIMING_AT_END.exec(text)?.index : text.length;
  if (sign === 0 || !isSpace(line[sign + 1]) || end === undefined) {
    throw new UnparsableLog("a result that is not written as its pattern wants it");
  }
  return text.slice(0, end);
}
