import type { Parser } from "./parser.ts";
import { readXml } from "./xml.ts";

const START = "<doctest";
const END = "</doctest>";

interface SubCase {
  readonly name: string;
  passed: boolean;
}

interface TestCase {
  readonly name: string;
  readonly subCases: SubCase[];
}

/** `parse_log_doctest` (`-s -r=xml`): a sub-case passed when all expressions within did; a test case without sub-cases is no test. */
export const parseDoctest: Parser = (log) => {
  const start = log.indexOf(START);
  if (start === -1) return new Map();
  const end = log.indexOf(END, start);
  return statusesOf(testCases(end === -1 ? "" : log.slice(start, end + END.length)));
};

function statusesOf(cases: readonly TestCase[]): Map<string, string> {
  const statuses = new Map<string, string>();
  for (const { name, subCases } of cases) {
    for (const subCase of subCases) statuses.set(`${name} > ${subCase.name}`, subCase.passed ? "PASSED" : "FAILED");
  }
  return statuses;
}

/** In the order of the report; an element counts for all that it is within. */
function testCases(xml: string): readonly TestCase[] {
  const all: TestCase[] = [];
  const openCases: TestCase[] = [];
  const openSubCases: SubCase[] = [];
  let depth = 0;
  readXml(xml, {
    open: (element, attributes) => {
      depth += 1;
      const name = attributes.get("name") ?? "None";
      if (element === "TestCase" && depth > 1) {
        const testCase = { name, subCases: [] };
        all.push(testCase);
        openCases.push(testCase);
      } else if (element === "SubCase") {
        const subCase = { name, passed: true };
        for (const { subCases } of openCases) subCases.push(subCase);
        openSubCases.push(subCase);
      } else if (element === "Expression" && attributes.get("success") !== "true") {
        for (const subCase of openSubCases) subCase.passed = false;
      }
    },
    close: (element) => {
      depth -= 1;
      if (element === "TestCase") openCases.pop();
      if (element === "SubCase") openSubCases.pop();
    },
  });
  return all;
}
