import { describe, expect, it } from "vitest";
import { judge } from "../judge.ts";

const judged = (log: string, options: { parser?: string; f2p?: string[]; p2p?: string[] } = {}) =>
  judge(log, {
    rule: "swe-bench-live@70ec57e",
    parser: options.parser ?? "pytest",
    evalType: "pass_and_fail",
    failToPass: options.f2p ?? ["t.py::a"],
    passToPass: options.p2p ?? ["t.py::b"],
  });

describe("the rule of SWE-bench-Live", () => {
  it("resolves when what must pass passed, and nothing that passed before failed: it may be missing or skipped", () => {
    expect(judged("PASSED t.py::a\nPASSED t.py::b").resolved).toBe(true);
    expect(judged("PASSED t.py::a\nFAILED t.py::c").resolved).toBe(true);
    expect(judged("PASSED t.py::a\nSKIPPED t.py::b").passToPass).toEqual({ success: [], failure: [] });
  });

  it.each([
    "",
    "FAILED t.py::a - x",
    "ERROR t.py::a",
    "SKIPPED t.py::a",
    "XFAIL t.py::a",
    "PASSED t.py::a\nERROR t.py::a",
  ])("does not when a test that must pass has nothing but %j", (line) => {
    expect(judged(`${line}\nPASSED t.py::b`)).toMatchObject({ found: true, resolved: false });
  });

  it.each(["FAILED t.py::b", "ERROR t.py::b", "XFAIL t.py::b"])(
    "does not when one that passed before has %j",
    (line) => {
      expect(judged(`PASSED t.py::a\n${line}`)).toMatchObject({
        resolved: false,
        passToPass: { failure: ["t.py::b"] },
      });
    },
  );

  it("takes the words of a row's own parser, where a failure outweighs a pass", () => {
    const told = (statuses: Record<string, string>) => judged(JSON.stringify(statuses), { parser: "json_map" });
    expect(told({ "t.py::a": "Passed", "t.py::b": "skip" }).resolved).toBe(true);
    expect(told({ "t.py::a": "pass", "t.py::b": "failed to pass" }).resolved).toBe(false);
    expect(told({})).toMatchObject({ found: true, resolved: false });
    expect(judged("stderr: no", { parser: "json_map" })).toMatchObject({ found: false, raised: true });
  });

  it("counts a name that is listed twice once", () => {
    expect(judged("PASSED t.py::a", { f2p: ["t.py::a", "t.py::a"], p2p: [] }).resolved).toBe(true);
  });
});
