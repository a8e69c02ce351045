import { eachLine, words } from "../python-text.ts";
import { type Parser, UnparsableLog } from "./parser.ts";

/** `parse_log_seaborn` of 5.0.2, which passes over lines of one word. */
export const parseSeaborn: Parser = (log) => parse(log, () => {});

/** That of 4.1.0, which raises at them. */
export const parseSeaborn4: Parser = (log) =>
  parse(log, (line) => {
    throw new UnparsableLog(`a line that is only ${JSON.stringify(line)}`);
  });

function parse(log: string, onLoneWord: (line: string) => void): Map<string, string> {
  const statuses = new Map<string, string>();
  eachLine(log, (line) => {
    const failed = line.startsWith("FAILED");
    const within = line.includes(" PASSED ");
    if (!failed && !within && !line.startsWith("PASSED")) return;
    const [first, second] = words(line);
    if (first === undefined || second === undefined) onLoneWord(line);
    else if (failed) statuses.set(second, "FAILED");
    else if (!within) statuses.set(second, "PASSED");
    else if (second === "PASSED") statuses.set(first, "PASSED");
  });
  return statuses;
}
