import { lastMatch, pythonPattern } from "../python-pattern.ts";
import { eachLine, strip } from "../python-text.ts";
import type { Instance } from "../verdict.ts";
import { parseJestFiles } from "./jest-files.ts";
import { parseLighthouseJson } from "./mocha-json.ts";
import { type Parser, UnparsableLog } from "./parser.ts";
import { Suites } from "./suites.ts";

const IN_MOCHA = ["9.5", "10.0", "10.2"];

/** `parse_log_lighthouse`: the version says what ran the tests. */
export const parseLighthouse: Parser = (log, instance) => {
  if (IN_MOCHA.includes(instance.version)) return inMocha(log);
  const parse = versionNumber(instance) >= 3 ? parseJestFiles : parseLighthouseJson;
  return parse(log, instance);
};

/** `float(version)`. */
function versionNumber({ version }: Instance): number {
  const text = strip(version);
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return Number(text);
  throw new UnparsableLog(`a version that is no number: ${JSON.stringify(version)}`);
}

const RUN = pythonPattern(String.raw`running\s\d+\stest\sfiles`, "g");
const SUMMARY = pythonPattern(String.raw`(?<!\d)\d+\spassing`);
const PASSED = pythonPattern(String.raw`^✔\s(.*)$`);
const FAILED = pythonPattern(String.raw`^\d+\)\s(.*)$`);
const TIMING = pythonPattern(String.raw`\s\(\d+m+s\)`, "g");

function inMocha(log: string): Map<string, string> {
  const statuses = new Map<string, string>();
  for (const run of log.split(RUN).slice(1)) {
    const suites = new Suites();
    const summary = SUMMARY.exec(run)?.index;
    eachLine(strip(run.slice(0, summary)), (line) => {
      const text = strip(line);
      const passed = PASSED.exec(text)?.[1];
      const name = passed ?? FAILED.exec(text)?.[1];
      if (name === undefined) return suites.read(line);
      const timing = lastMatch(name, TIMING)?.index;
      const test = name.slice(0, timing);
      statuses.set([...suites.names, test].join(" - "), passed === undefined ? "FAILED" : "PASSED");
    });
  }
  return statuses;
}
