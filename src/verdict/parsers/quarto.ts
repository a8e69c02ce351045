import { pythonPattern } from "../python-pattern.ts";
import { before, strip } from "../python-text.ts";
import type { Parser } from "./parser.ts";

/** Folders and files whose names differ from run to run. */
const TEMPORARY = [String.raw`/tmp/\w+\.qmd`, String.raw`/tmp/\w+/`].map((pattern) => pythonPattern(pattern, "g"));

/** `parse_log_quarto_cli`: `[smoke] > name ... ok` until the errors are listed; a test without a result failed. Temporary names are numbered. */
export const parseQuarto: Parser = (log) => {
  const statuses = new Map<string, string>();
  const numbers = new Map<string, number>();
  for (const line of log.split("\n")) {
    if (line.includes("ERRORS") || line.includes("failures:")) break;
    if (!line.includes("[smoke]") && !line.includes("[unit]")) continue;
    const text = numbered(line, numbers);
    if (isNoise(text)) continue;
    const test = strip(before(text, "..."));
    if (text.includes("32mok")) statuses.set(test, "PASSED");
    else if (text.includes("31mFAILED") || !statuses.has(test)) statuses.set(test, "FAILED");
  }
  return statuses;
};

/** The number of the first temporary name stands for all of its kind on the line. */
function numbered(line: string, numbers: Map<string, number>): string {
  let text = line;
  for (const pattern of TEMPORARY) {
    const first = text.match(pattern)?.[0];
    if (first === undefined) continue;
    const number = numbers.get(first) ?? numbers.size;
    numbers.set(first, number);
    text = text.replace(pattern, `/tmp/${number}`);
  }
  return text;
}

function isNoise(text: string): boolean {
  const isSummary = ["passed", "failed", "steps"].every((word) => text.includes(word));
  return text.startsWith("test result:") || isSummary || text.includes("34mINFO");
}
