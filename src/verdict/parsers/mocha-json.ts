import { parsePythonJson } from "../python-json.ts";
import { pythonPattern } from "../python-pattern.ts";
import { after, afterLast, beforeLast } from "../python-text.ts";
import { type Parser, UnparsableLog } from "./parser.ts";

const PRISM = "./node_modules/.bin/mocha tests/run.js --reporter json";

/** `parse_log_prismjs`: the report behind each command, from the first brace to the last; what passed has the last word. */
export const parsePrism: Parser = (log) => {
  const statuses = new Map<string, string>();
  for (const run of log.split(PRISM).slice(1)) {
    const report = jsonObject(`{${beforeLast(after(run, "{"), "}")}}`);
    for (const test of titles(report, "failures")) statuses.set(test, "FAILED");
    for (const test of titles(report, "passes")) statuses.set(test, "PASSED");
  }
  return statuses;
};

function jsonObject(text: string): object {
  try {
    return Object(parsePythonJson(text));
  } catch (error) {
    if (error instanceof SyntaxError) throw new UnparsableLog("a report that is no JSON");
    throw error;
  }
}

function titles(report: object, key: string): readonly string[] {
  const tests: unknown = Object.hasOwn(report, key) ? Reflect.get(report, key) : undefined;
  if (!Array.isArray(tests)) throw new UnparsableLog(`a report without ${key}`);
  return tests.map((test: unknown) => {
    const title: unknown = Object(test).fullTitle;
    if (typeof title === "string") return title;
    throw new UnparsableLog(`a test without a title among the ${key}`);
  });
}

const TITLE = pythonPattern(String.raw`"fullTitle":\s"(.*)",\n`, "g");

/** What `"fullTitle": "...",` names between the last `start` and the last `end`. */
function titlesBetween(log: string, start: string, end: string): readonly string[] {
  const section = beforeLast(afterLast(log, start), end);
  return [...section.matchAll(TITLE)].map(([, title = ""]) => title);
}

/** `parse_log_lighthouse` before version 3. */
export const parseLighthouseJson: Parser = (log) => {
  const statuses = new Map<string, string>();
  for (const run of log.split("./node_modules/.bin/mocha --reporter json").slice(1)) {
    for (const test of titlesBetween(run, '"passes": [', "]")) statuses.set(test, "PASSED");
    for (const test of titlesBetween(run, '"failures": [', "],")) statuses.set(test, "FAILED");
  }
  return statuses;
};

/** `parse_log_cypress`: a report before each return to the top folder. */
export const parseCypress: Parser = (log) => {
  const statuses = new Map<string, string>();
  for (const run of log.split("../..").slice(0, -1)) {
    for (const test of titlesBetween(run, '  "passes": [', "  }")) statuses.set(test, "PASSED");
    for (const test of titlesBetween(run, '  "failures": [', "  ],")) statuses.set(test, "FAILED");
  }
  return statuses;
};
