import { describe, expect, it } from "vitest";
import { judge } from "../judge.ts";

const judged = (output: unknown) =>
  judge(typeof output === "string" ? output : JSON.stringify(output), {
    rule: "swe-bench-pro@ca10a60",
    parser: "json_tests",
    evalType: "pass_and_fail",
    failToPass: ["f | a"],
    passToPass: ["f | b"],
  });
const tests = (...all: (readonly [string, string])[]) => ({ tests: all.map(([name, status]) => ({ name, status })) });

describe("the rule of SWE-bench Pro", () => {
  it("resolves when the expected tests are among those that passed", () => {
    expect(judged(tests(["f | a", "PASSED"], ["f | b", "PASSED"], ["f | c", "FAILED"])).resolved).toBe(true);
  });

  it.each(["FAILED", "SKIPPED", "ERROR", "passed"])("does not when one is %s", (status) => {
    expect(judged(tests(["f | a", status], ["f | b", "PASSED"]))).toMatchObject({
      ...{ found: true, resolved: false },
      failToPass: { failure: ["f | a"] },
    });
  });

  it("does not when one is missing, or none ran", () => {
    expect(judged(tests(["f | b", "PASSED"])).failToPass.failure).toEqual(["f | a"]);
    expect(judged(tests())).toMatchObject({ found: true, resolved: false });
  });

  it("goes by any pass among several results of one name", () => {
    for (const order of [
      ["FAILED", "PASSED"],
      ["PASSED", "FAILED"],
    ] as const) {
      expect(judged(tests(["f | a", order[0]], ["f | a", order[1]], ["f | b", "PASSED"])).resolved).toBe(true);
    }
  });

  it("has no verdict without an output in the form of the family", () => {
    for (const output of ["", "{}", { tests: {} }, { tests: [{ name: "f | a" }] }]) {
      expect(judged(output)).toMatchObject({ found: false, raised: true, resolved: false });
    }
  });
});
