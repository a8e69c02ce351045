import { before, eachLine, isSpace, strip, words } from "../python-text.ts";
import { type Parser, UnparsableLog } from "./parser.ts";

const PASS_ENDS = [" ... ok", " ... OK", " ...  OK"];
const VERSION_TEST = "--version is equivalent to version";
const MIGRATION_TEST = "Applying sites.0002_alter_domain_unique...test_no_migrations";

/** `parse_log_django` of swebench 5.0.2. */
export const parseDjango: Parser = (log) => {
  const statuses = new Map<string, string>();
  let previous: string | undefined;
  eachLine(log, (raw) => {
    const line = strip(raw);
    if (line.includes(VERSION_TEST)) statuses.set(VERSION_TEST, "PASSED");
    if (line.includes(" ... ")) previous = before(line, " ... ");
    readLine(line, statuses);
    if (previous !== undefined && line.startsWith("ok")) statuses.set(previous, "PASSED");
  });
  for (const test of interruptedTests(log)) statuses.set(test, "PASSED");
  return statuses;
};

function readLine(stripped: string, statuses: Map<string, string>): void {
  let line = stripped;
  const end = PASS_ENDS.find((suffix) => line.endsWith(suffix));
  if (end !== undefined) {
    if (line.startsWith(MIGRATION_TEST)) line = strip(line.slice(line.indexOf("...") + 3));
    const at = line.lastIndexOf(end);
    statuses.set(at === -1 ? line : line.slice(0, at), "PASSED");
  }
  if (line.includes(" ... skipped")) statuses.set(before(line, " ... skipped"), "SKIPPED");
  if (line.endsWith(" ... FAIL")) statuses.set(before(line, " ... FAIL"), "FAILED");
  if (line.startsWith("FAIL:")) statuses.set(secondWord(line), "FAILED");
  if (line.endsWith(" ... ERROR")) statuses.set(before(line, " ... ERROR"), "ERROR");
  if (line.startsWith("ERROR:")) statuses.set(secondWord(line), "ERROR");
}

function secondWord(line: string): string {
  const word = words(line)[1];
  if (word === undefined) throw new UnparsableLog(`a line that is only ${JSON.stringify(line)}`);
  return word;
}

/**
 * Tests whose line was interrupted by a long message before their `ok`. Upstream these are three MULTILINE regular expressions; found here by
 * literal search, in the same order and with the same matches, but in linear time:
 * `^(.*?)\s\.\.\.\sTesting against Django installed in ([\s\S]*?) silenced\)\.\nok$`, `^(.*?)\s\.\.\.\sInternal Server Error: \/(.*)\/\nok$` and
 * `^(.*?)\s\.\.\.\sSystem check identified no issues \(0 silenced\)\nok$`.
 */
function interruptedTests(log: string): readonly string[] {
  return [
    ...interrupted(log, "Testing against Django installed in ", (at) => {
      const end = endOfOk(log, " silenced).\nok", at);
      return end === undefined ? { matched: false, next: log.length } : { matched: true, next: end };
    }),
    ...interrupted(log, "Internal Server Error: /", (at) => {
      const lineEnd = log.indexOf("\n", at);
      if (lineEnd === -1) return { matched: false, next: log.length };
      const matched = lineEnd > at && log[lineEnd - 1] === "/" && isOkLine(log, lineEnd + 1);
      return { matched, next: matched ? lineEnd + 3 : lineEnd };
    }),
    ...interrupted(log, "System check identified no issues (0 silenced)", (at) => {
      const matched = log[at] === "\n" && isOkLine(log, at + 1);
      return { matched, next: matched ? at + 3 : at };
    }),
  ];
}

interface Ending {
  readonly matched: boolean;
  /** Where the match ends, else from where to look on. */
  readonly next: number;
}

/** `findEnd` is given the place where the message ends. */
function interrupted(log: string, message: string, findEnd: (at: number) => Ending): readonly string[] {
  const tests: string[] = [];
  let matchedTo = 0;
  let from = 0;
  for (let at = log.indexOf(message); at !== -1; at = log.indexOf(message, from)) {
    from = at + 1;
    const dots = at - 5;
    if (dots < 0 || !isSpace(log[dots]) || log.slice(dots + 1, at - 1) !== "..." || !isSpace(log[at - 1])) continue;
    const lineStart = dots === 0 ? 0 : log.lastIndexOf("\n", dots - 1) + 1;
    if (lineStart < matchedTo) continue;
    const ending = findEnd(at + message.length);
    from = Math.max(from, ending.next);
    if (!ending.matched) continue;
    matchedTo = ending.next;
    tests.push(log.slice(lineStart, dots));
  }
  return tests;
}

function endOfOk(log: string, ending: string, from: number): number | undefined {
  for (let at = log.indexOf(ending, from); at !== -1; at = log.indexOf(ending, at + 1)) {
    if (isOkLine(log, at + ending.length - 2)) return at + ending.length;
  }
  return undefined;
}

function isOkLine(log: string, at: number): boolean {
  return log.startsWith("ok", at) && (at + 2 === log.length || log[at + 2] === "\n");
}
