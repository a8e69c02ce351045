import { before, eachLine, words } from "../python-text.ts";
import { endsWithStatus, type Parser, startsWithStatus } from "./parser.ts";

/**
 * The pytest family, `harness/log_parsers/python.py`: a line that begins with a status names a test, whose id ends at the first space.
 * 5.0.2 passes over the summary of skipped tests, which names none; 4.1.0 takes its count for an id.
 */
export const parsePytest: Parser = (log) => parseSummary(log, { skips: "ignored" });
export const parsePytest4: Parser = (log) => parseSummary(log, { skips: "named" });

/** `parse_log_pytest_options`: a parameter that is a path keeps its last segment only. */
export const parsePytestOptions: Parser = (log) => parseSummary(log, { skips: "ignored", name: shortenOption });
export const parsePytestOptions4: Parser = (log) => parseSummary(log, { skips: "named", name: shortenOption });

/** `parse_log_matplotlib`: the names of two enum members changed between versions of Python. */
export const parseMatplotlib: Parser = (log) => parseSummary(log, { skips: "ignored", prepare: numberButtons });
export const parseMatplotlib4: Parser = (log) => parseSummary(log, { skips: "named", prepare: numberButtons });

interface Dialect {
  readonly skips: "ignored" | "named";
  readonly prepare?: (line: string) => string;
  readonly name?: (test: string) => string;
}

const same = (text: string): string => text;

function parseSummary(log: string, { skips, prepare = same, name = same }: Dialect): Map<string, string> {
  const statuses = new Map<string, string>();
  eachLine(log, (raw) => {
    const line = prepare(raw);
    if (!startsWithStatus(line)) return;
    const [status, test] = words(line.startsWith("FAILED") ? line.replaceAll(" - ", " ") : line);
    if (status === undefined || test === undefined) return;
    if (skips === "ignored" && isSkipSummary(status, test)) return;
    statuses.set(name(test), status);
  });
  return statuses;
}

/** `SKIPPED [3] path:line: reason` counts tests and names none. */
export function isSkipSummary(status: string, test: string): boolean {
  return status === "SKIPPED" && /^\[\p{Nd}+\]$/u.test(test);
}

function numberButtons(line: string): string {
  return line.replaceAll("MouseButton.LEFT", "1").replaceAll("MouseButton.RIGHT", "3");
}

/** `(.*?)\[(.*)\]` matches iff a `]` follows the first `[`; what follows the last `]` is dropped. */
function shortenOption(test: string): string {
  const open = test.indexOf("[");
  const close = test.lastIndexOf("]");
  if (open === -1 || close < open) return test;
  const option = test.slice(open + 1, close);
  const isPath = option.startsWith("/") && !option.startsWith("//") && !option.includes("*");
  return `${test.slice(0, open)}[${isPath ? option.slice(option.lastIndexOf("/")) : option}]`;
}

/** `parse_log_pytest_v2` of 5.0.2: ids keep their spaces, and the status may stand at the end of the line. */
export const parsePytestV2: Parser = (log) => {
  const statuses = new Map<string, string>();
  eachPlainLine(log, (line) => {
    if (startsWithStatus(line)) {
      const [status, ...test] = words(line.startsWith("FAILED") ? before(line, " - ") : line);
      if (status === undefined || test[0] === undefined || isSkipSummary(status, test[0])) return;
      statuses.set(test.join(" "), status);
    } else if (endsWithStatus(line)) {
      const test = [...words(line)];
      const status = test.pop();
      if (status !== undefined && test.length > 0) statuses.set(test.join(" "), status);
    }
  });
  return statuses;
};

/** That of 4.1.0: the first two words are the status and the id, or the id and what then counts as its status. */
export const parsePytestV24: Parser = (log) => {
  const statuses = new Map<string, string>();
  eachPlainLine(log, (line) => {
    const leads = startsWithStatus(line);
    if (!leads && !endsWithStatus(line)) return;
    const [first, second] = words(line.startsWith("FAILED") ? line.replaceAll(" - ", " ") : line);
    if (first === undefined || second === undefined) return;
    if (leads) statuses.set(second, first);
    else statuses.set(first, second);
  });
  return statuses;
};

const COLOUR = /\[\p{Nd}+m/gu;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the official parser deletes exactly these
const CONTROL = /[\x01-\x1f]/g;

/** Lines without colours and control characters. */
export function eachPlainLine(log: string, visit: (line: string) => void): void {
  eachLine(log, (line) => {
    if (line !== "") visit(line.replace(COLOUR, "").replace(CONTROL, ""));
  });
}
