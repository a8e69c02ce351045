import { describe, expect, it } from "vitest";
import { judge } from "../judge.ts";

const judged = (log: string, options: { parser?: string; f2p?: string[]; p2p?: string[] } = {}) =>
  judge(log, {
    rule: "swe-rebench-v2@c71902a",
    parser: options.parser ?? "parse_log_pytest",
    evalType: "pass_and_fail",
    failToPass: options.f2p ?? ["t.py::a"],
    passToPass: options.p2p ?? ["t.py::b"],
  });
const told = (statuses: Record<string, string>) => JSON.stringify(statuses);

describe("the rule of SWE-rebench V2", () => {
  it("resolves when every expected test passed, anywhere in the log", () => {
    expect(judged("noise\nPASSED t.py::a\nPASSED t.py::b\nFAILED t.py::c").resolved).toBe(true);
  });

  it.each(["", "FAILED t.py::a", "SKIPPED t.py::a", "XFAIL t.py::a", "PASSED t.py::a\nERROR t.py::a"])(
    "does not when one test has nothing but %j",
    (line) => {
      expect(judged(`${line}\nPASSED t.py::b`)).toMatchObject({
        resolved: false,
        failToPass: { failure: ["t.py::a"] },
      });
    },
  );

  it("reads a log as text, with any line ends", () => {
    expect(judged("\rPASSED t.py::a\r\nPASSED t.py::b\r").resolved).toBe(true);
  });

  it("takes an expected failure for no status at all", () => {
    expect(judged("PASSED t.py::a\nXFAIL t.py::a\nPASSED t.py::b").resolved).toBe(true);
  });

  it("ignores how long a test took, in what ran and in what is expected", () => {
    const log = told({
      "suite > works [1.34 ms]": "PASSED",
      "block cipher in 29.08 msec": "PASSED",
      "it runs (12ms)  ": "PASSED",
    });
    const f2p = ["suite > works [2 s]", "block cipher in 1 sec", "it runs"];
    expect(judged(log, { parser: "json_map", f2p, p2p: [] }).resolved).toBe(true);
    expect(judged(told({ "a (3 ms) b": "PASSED" }), { parser: "json_map", f2p: ["a b"], p2p: [] }).resolved).toBe(
      false,
    );
  });

  it("has no verdict on what a program of its own did not print as a map", () => {
    for (const text of ["", "[]", '{"a": 1}', "stderr:"]) {
      expect(judged(text, { parser: "json_map" })).toMatchObject({ found: false, raised: true, resolved: false });
    }
    expect(judged("PASSED\n", { parser: "parse_log_pytest_v2" })).toMatchObject({ found: false, raised: true });
  });
});
