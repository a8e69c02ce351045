import { describe, expect, it } from "vitest";
import { judge } from "../judge.ts";

const judged = (log: string, expected: Record<string, string>) =>
  judge(log, {
    rule: "r2e-gym@69bc953",
    parser: "pytest_summary",
    evalType: "pass_and_fail",
    failToPass: [],
    passToPass: [],
    expected: Object.entries(expected),
  });
const summary = (...lines: string[]) => `=== short test summary info ===\n${lines.join("\n")}\n`;

const EXPECTED = { test_a: "PASSED", "C.test_b": "PASSED", test_c: "FAILED" };
const AS_EXPECTED = [
  "PASSED r2e_tests/test_1.py::test_a",
  "PASSED r2e_tests/test_1.py::C::test_b",
  "FAILED r2e_tests/test_1.py::test_c - E: x",
];

describe("the rule of R2E-Gym", () => {
  it("resolves when the tests that ran are those of the map, each with its status", () => {
    const verdict = judged(summary(...AS_EXPECTED), EXPECTED);
    expect(verdict).toMatchObject({ found: true, resolved: true, failToPass: { failure: [] } });
    expect(verdict.failToPass.success.toSorted()).toEqual(["C.test_b", "test_a", "test_c"]);
  });

  it.each([
    ["is missing", AS_EXPECTED.slice(1)],
    ["is there that is not expected", [...AS_EXPECTED, "PASSED r2e_tests/test_1.py::test_d"]],
    ["stands in for another", [...AS_EXPECTED.slice(1), "PASSED r2e_tests/test_1.py::test_d"]],
    ["failed", ["FAILED r2e_tests/test_1.py::test_a", ...AS_EXPECTED.slice(1)]],
    ["passed that is expected to fail", [...AS_EXPECTED.slice(0, 2), "PASSED r2e_tests/test_1.py::test_c"]],
    ["passed and then broke", [...AS_EXPECTED, "ERROR r2e_tests/test_1.py::test_a - at teardown"]],
    ["passed without its status", [...AS_EXPECTED.slice(1), "SKIPPED r2e_tests/test_1.py::test_a"]],
  ])("does not when one %s", (_, lines) => {
    expect(judged(summary(...lines), EXPECTED)).toMatchObject({ found: true, resolved: false });
  });

  it("takes the last of duplicates, and one name of a test in two files", () => {
    const twice = ["FAILED a.py::test_a", "PASSED b.py::test_a"];
    expect(judged(summary(...twice), { test_a: "PASSED" }).resolved).toBe(true);
  });

  it("ignores colours, returns and what follows a dash, in the log and in the map", () => {
    const log = summary(
      "\x1b[32mPASSED\x1b[0m r2e_tests/t.py::\x1b[1mtest_a\x1b[0m\r",
      "PASSED r2e_tests/t.py::test_b[x - y]",
    );
    expect(judged(log, { "\x1b[1mtest_a\x1b[0m": "PASSED", "test_b[x - z]": "PASSED" }).resolved).toBe(true);
  });

  it("reads the first summary, up to where one is mentioned again", () => {
    const again = `${summary("PASSED t.py::test_a")}short test summary info\nFAILED t.py::test_a`;
    expect(judged(again, { test_a: "PASSED" }).resolved).toBe(true);
    expect(judged(`PASSED t.py::test_a\n${summary()}`, { test_a: "PASSED" }).resolved).toBe(false);
  });

  it("finds nothing in a log without a summary", () => {
    expect(judged("PASSED t.py::test_a", { test_a: "PASSED" })).toMatchObject({ found: false, resolved: false });
  });
});
