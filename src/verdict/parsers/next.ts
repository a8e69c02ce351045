import { pythonPattern } from "../python-pattern.ts";
import { afterLast, eachLine, isSpace, skipSpace, strip } from "../python-text.ts";
import type { Instance } from "../verdict.ts";
import { ANSI } from "./ansi.ts";
import type { Parser } from "./parser.ts";
import { Suites } from "./suites.ts";

/** `parse_log_next`: version 1.27 runs its tests in cypress, all others in karma. */
export const parseNext: Parser = (log, instance: Instance) =>
  instance.version === "1.27" ? inCypress(log) : inKarma(log);

const NOISE = ["ERROR", "LOG", "WARN", "Check", "in"];

function inKarma(log: string): Map<string, string> {
  const statuses = new Map<string, string>();
  const suites = new Suites();
  for (const run of withoutAssertions(log.replace(ANSI, "")).split(" xvfb-run ").slice(1)) {
    let over = false;
    eachLine(afterLast(run, "Starting browser Chrome"), (line) => {
      over ||= line.startsWith("TOTAL");
      const text = strip(line);
      if (over || NOISE.some((word) => text.startsWith(word))) return;
      const failed = line.indexOf("✗");
      const sign = failed === -1 ? line.indexOf("✓") : failed;
      if (sign === -1) return suites.read(line);
      const test = line.slice(skipSpace(line, sign + 1));
      statuses.set([...suites.names, test].join(" - "), failed === -1 ? "PASSED" : "FAILED");
    });
  }
  return statuses;
}

const ASSERTION = pythonPattern(String.raw`AssertionError:\s+#`, "g");

/** `AssertionError:\s+#([\s\S]*?)\n\n` removed wherever it stands. */
function withoutAssertions(log: string): string {
  const kept: string[] = [];
  let from = 0;
  ASSERTION.lastIndex = 0;
  for (let match = ASSERTION.exec(log); match !== null; match = ASSERTION.exec(log)) {
    const end = log.indexOf("\n\n", ASSERTION.lastIndex);
    if (end === -1) break;
    kept.push(log.slice(from, match.index));
    from = end + 2;
    ASSERTION.lastIndex = from;
  }
  return kept.join("") + log.slice(from);
}

const FAILURE = pythonPattern(String.raw`^\s{4}\d+\)\s(.*)`, "gm");
const SUCCESS = pythonPattern(String.raw`^\s{4}✓\s(.*)\(`, "gm");

function inCypress(log: string): Map<string, string> {
  const statuses = new Map<string, string>();
  const suites = [...suitesIn(log)];
  for (const [index, { name, end }] of suites.entries()) {
    const results = log.slice(end, suites[index + 1]?.start);
    for (const [, test = ""] of results.matchAll(FAILURE)) statuses.set(`${name}: ${strip(test)}`, "FAILED");
    for (const [, test = ""] of results.matchAll(SUCCESS)) statuses.set(`${name}: ${strip(test)}`, "PASSED");
  }
  return statuses;
}

interface Suite {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

const RUNNING = "Running:";
const GAP = 5;

/** `Running\:(.*)\)\n{3}\s{2}(.*)\n`: a line that ends in `)`, two empty ones, and the suite's name behind two white spaces. */
function* suitesIn(log: string): Generator<Suite> {
  let from = 0;
  for (let start = log.indexOf(RUNNING); start !== -1; start = log.indexOf(RUNNING, from)) {
    const line = log.indexOf("\n", start);
    const name = line + GAP;
    const end = line === -1 ? -1 : log.indexOf("\n", name);
    if (end === -1) return;
    const isSuite =
      line > start + RUNNING.length &&
      log.startsWith(")\n\n\n", line - 1) &&
      isSpace(log[line + 3]) &&
      isSpace(log[line + 4]);
    from = isSuite ? end + 1 : line + 1;
    if (isSuite) yield { name: log.slice(name, end), start, end: end + 1 };
  }
}
