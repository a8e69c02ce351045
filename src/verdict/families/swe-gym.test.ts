import { describe, expect, it } from "vitest";
import { judge, judgeBytes } from "../judge.ts";
import type { Expectation } from "../verdict.ts";

const expectation = (parser: string): Expectation => ({
  rule: "swe-gym@16dd480",
  parser,
  evalType: "pass_and_fail",
  failToPass: ["t.py::a"],
  passToPass: ["t.py::b"],
});
const judged = (log: string, parser = "parse_log_pytest") => judge(log, expectation(parser));
const APPLIED = "Checking patch t.py...\nApplied patch t.py cleanly.\n";

describe("the rule of SWE-Gym", () => {
  it("resolves on the whole log, when it shows that the tests were applied", () => {
    expect(judged(`${APPLIED}PASSED t.py::a\nXFAIL t.py::b`).resolved).toBe(true);
    expect(judged(`PASSED t.py::a\nPASSED t.py::b\n+ : APPLIED PATCH`).resolved).toBe(true);
    expect(judged("PASSED t.py::a\nPASSED t.py::b")).toMatchObject({ found: false, resolved: false });
  });

  it.each([
    "",
    "FAILED t.py::a - why",
    "ERROR t.py::a",
    "PASSED t.py::a2",
    "PASSED t.py::a\nERROR t.py::a - at teardown",
  ])("does not when a test has nothing but %j", (line) => {
    expect(judged(`${APPLIED}${line}\nPASSED t.py::b`)).toMatchObject({ found: true, resolved: false });
  });

  it("leaves skipped tests out of both lists", () => {
    const verdict = judged(`${APPLIED}SKIPPED t.py::a\nPASSED t.py::b`);
    expect(verdict).toMatchObject({ resolved: true, failToPass: { success: [], failure: [] } });
  });

  it("reads what follows the last word that the submission was applied", () => {
    const log = `${APPLIED}PASSED t.py::a\n>>>>> Applied Patch (pred)\nPASSED t.py::b`;
    expect(judged(log).failToPass.failure).toEqual(["t.py::a"]);
  });

  it("believes no log that says that something before the tests failed, nor one that is not UTF-8", () => {
    const good = `${APPLIED}PASSED t.py::a\nPASSED t.py::b\n`;
    for (const code of [">>>>> Patch Apply Failed", ">>>>> Tests Timed Out", "Failed to reset task environment"]) {
      expect(judged(good + code).found).toBe(false);
    }
    const broken = Buffer.concat([Buffer.from(good), Buffer.from([0xff])]);
    expect(judgeBytes(broken, expectation("parse_log_pytest"))).toMatchObject({ found: false, raised: true });
  });

  it("reads past the progress in the lines of pydantic, and stops where one has no test", () => {
    const log = `${APPLIED}FAILED  [ 12%] t.py::a - x\nt.py::b PASSED\n`;
    expect(judged(log, "parse_log_pydantic").statuses).toEqual([
      ["t.py::a", "FAILED"],
      ["t.py::b", "PASSED"],
    ]);
    expect(judged(`${log}FAILED [ 13%]\n`, "parse_log_pydantic")).toMatchObject({ found: false, raised: true });
  });
});
