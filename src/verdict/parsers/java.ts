import { eachLine, isSpace, strip, words } from "../python-text.ts";
import type { TestStatus } from "../verdict.ts";
import { lineParser, type Result } from "./line.ts";
import type { Parser } from "./parser.ts";

const OPTION = "-Dtest=";

/** `parse_log_maven`: every test is a command of its own, shown by `set -x`, and a result belongs to the oldest command that has none. */
export const parseMaven: Parser = (log) => {
  const statuses = new Map<string, TestStatus>();
  const tests: string[] = [];
  let answered = 0;
  const early: TestStatus[] = [];
  eachLine(log, (raw) => {
    const line = strip(raw);
    const test = mavenTest(line);
    if (test !== undefined) tests.push(test);
    const status = mavenStatus(line);
    if (status === undefined) return;
    const oldest = tests[answered];
    if (oldest === undefined) early.push(status);
    else statuses.set(oldest, status);
    if (oldest !== undefined) answered += 1;
  });
  /** Results that came before any command that was waiting go to what is left, in order. */
  for (const [index, test] of tests.slice(answered).entries()) {
    const status = early[index];
    if (status !== undefined) statuses.set(test, status);
  }
  return statuses;
};

/** That of 4.1.0: a result belongs to the last command. */
export const parseMaven4: Parser = (log) => {
  const statuses = new Map<string, TestStatus>();
  let test = "---NO TEST NAME FOUND YET---";
  eachLine(log, (raw) => {
    const line = strip(raw);
    test = mavenTest(line) ?? test;
    const status = mavenStatus(line);
    if (status !== undefined) statuses.set(test, status);
  });
  return statuses;
};

/** The word after the line's last `-Dtest=` that one follows. */
function mavenTest(line: string): string | undefined {
  for (let at = line.lastIndexOf(OPTION); at !== -1; at = at === 0 ? -1 : line.lastIndexOf(OPTION, at - 1)) {
    const start = at + OPTION.length;
    if (start < line.length && !isSpace(line[start])) return words(line.slice(start), 1)[0];
  }
  return undefined;
}

function mavenStatus(line: string): TestStatus | undefined {
  if (line.endsWith("BUILD SUCCESS")) return "PASSED";
  return line.endsWith("BUILD FAILURE") ? "FAILED" : undefined;
}

const JUNIT = "[junit]";
const ANT: readonly Result[] = [
  ["[PASS]", "PASSED"],
  ["[FAIL]", "FAILED"],
  ["[ERR]", "FAILED"],
];

/** `parse_log_ant`: `[junit] [PASS] name`. */
export const parseAnt: Parser = lineParser((line) => {
  if (!line.startsWith(JUNIT) || !isSpace(line[JUNIT.length])) return undefined;
  const rest = strip(line.slice(JUNIT.length));
  const [word, status] = ANT.find(([start]) => rest.startsWith(start)) ?? [];
  if (word === undefined || status === undefined || !isSpace(rest[word.length])) return undefined;
  return [strip(rest.slice(word.length)), status];
});

/** `parse_log_gradle_custom` of 4.1.0: `name PASSED`, where the name keeps all white space but the last. */
export const parseGradle4: Parser = lineParser(gradleResult);

/** That of 5.0.2: a status may also stand alone below the `Class > test` that it belongs to. */
export const parseGradle: Parser = (log) => {
  const statuses = new Map<string, TestStatus>();
  let waiting: string | undefined;
  eachLine(log, (raw) => {
    const line = strip(raw);
    const result = gradleResult(line);
    if (result !== undefined) {
      statuses.set(...result);
      waiting = undefined;
    } else if (isGradleTest(line)) {
      waiting = line;
    } else if (waiting !== undefined && (line === "PASSED" || line === "FAILED")) {
      statuses.set(waiting, line);
      waiting = undefined;
    }
  });
  return statuses;
};

/** The name has at least two characters and does not begin with `>`. */
function gradleResult(line: string): Result | undefined {
  const status = line.endsWith("PASSED") ? "PASSED" : "FAILED";
  if (!line.endsWith(status) || line.startsWith(">")) return undefined;
  const end = line.length - status.length - 1;
  if (!isSpace(line[end])) return undefined;
  const test = line.slice(0, end);
  return [...test.slice(0, 4)].length < 2 ? undefined : [test, status];
}

function isGradleTest(line: string): boolean {
  const [suite, arrow, test, ...more] = words(line, 4);
  return suite !== undefined && !suite.startsWith(">") && arrow === ">" && test !== undefined && more.length === 0;
}
