import { before, eachLine, words } from "../python-text.ts";
import { endsWithStatus, type Parser, startsWithStatus } from "./parser.ts";

/** The pytest family of swebench 5.0.2, `harness/log_parsers/python.py`: ids end at the first space. */
export const parsePytest: Parser = (log) =>
  parseSummary(
    log,
    (line) => line,
    (test) => test,
  );

/** `parse_log_pytest_options`: a parameter that is a path keeps its last segment only. */
export const parsePytestOptions: Parser = (log) => parseSummary(log, (line) => line, shortenOption);

/** `parse_log_matplotlib`: the names of two enum members changed between versions of Python. */
export const parseMatplotlib: Parser = (log) =>
  parseSummary(
    log,
    (line) => line.replaceAll("MouseButton.LEFT", "1").replaceAll("MouseButton.RIGHT", "3"),
    (test) => test,
  );

/** `parse_log_pytest_v2`: colours removed, ids keep their spaces, and the status may stand at the end of the line. */
export const parsePytestV2: Parser = (log) => {
  const statuses = new Map<string, string>();
  eachLine(log, (raw) => {
    const line = raw.replace(COLOUR, "").replace(CONTROL, "");
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

/** `parse_log_seaborn`. */
export const parseSeaborn: Parser = (log) => {
  const statuses = new Map<string, string>();
  eachLine(log, (line) => {
    const failed = line.startsWith("FAILED");
    if (!failed && !line.includes("PASSED")) return;
    const [first, second] = words(line);
    if (first === undefined || second === undefined) return;
    if (failed) statuses.set(second, "FAILED");
    else if (line.includes(" PASSED ")) {
      if (second === "PASSED") statuses.set(first, "PASSED");
    } else if (line.startsWith("PASSED")) statuses.set(second, "PASSED");
  });
  return statuses;
};

const COLOUR = /\[\p{Nd}+m/gu;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the official parser deletes exactly these
const CONTROL = /[\x01-\x1f]/g;

function parseSummary(log: string, prepare: (line: string) => string, name: (test: string) => string) {
  const statuses = new Map<string, string>();
  eachLine(log, (raw) => {
    const line = prepare(raw);
    if (!startsWithStatus(line)) return;
    const [status, test] = words(line.startsWith("FAILED") ? line.replaceAll(" - ", " ") : line);
    if (status === undefined || test === undefined || isSkipSummary(status, test)) return;
    statuses.set(name(test), status);
  });
  return statuses;
}

/** `SKIPPED [3] path:line: reason` counts tests and names none. */
function isSkipSummary(status: string, test: string): boolean {
  return status === "SKIPPED" && /^\[\p{Nd}+\]$/u.test(test);
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
