import { pythonPattern } from "../python-pattern.ts";
import { eachLine } from "../python-text.ts";
import type { Parser } from "./parser.ts";

const SUITE = pythonPattern(String.raw`^(\s+)-\s+(.*?)\s+:`);
const TEST = pythonPattern(String.raw`^(\s+)\*\s+(.*?)\s+:\s*(.*)`);

/** `parse_plotly_js`: what is indented no more than the last suite was stands outside of all suites. */
export const parsePlotly: Parser = (log) => {
  const statuses = new Map<string, string>();
  let suites: string[] = [];
  let indent = 0;
  eachLine(log, (line) => {
    const [, space = "", name = "", status] = SUITE.exec(line) ?? TEST.exec(line) ?? [];
    if (space === "") return;
    if (space.length <= indent) suites = [];
    if (status === undefined) {
      suites.push(name);
      indent = space.length;
    } else {
      statuses.set([...suites, name].join("."), passed(status.toLowerCase()) ? "PASSED" : "FAILED");
    }
  });
  return statuses;
};

function passed(status: string): boolean {
  return status.includes("ok") && !status.includes("failed");
}
