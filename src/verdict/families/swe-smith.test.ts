import { describe, expect, it } from "vitest";
import { judge } from "../judge.ts";

const judged = (log: string, parser = "pytest_verbose", tests: { f2p?: string[]; p2p?: string[] } = {}) =>
  judge(log, {
    rule: "swe-smith@3a7c6bb",
    parser,
    evalType: "pass_and_fail",
    failToPass: tests.f2p ?? ["t.py::a"],
    passToPass: tests.p2p ?? ["t.py::b"],
  });
const marked = (text: string) => `+ : '>>>>> Start Test Output'\n${text}\n+ : '>>>>> End Test Output'\n`;

describe("the rule of SWE-smith", () => {
  it("resolves when every expected test passed, or failed as expected, whatever else did", () => {
    expect(judged(marked("t.py::a PASSED [ 50%]\nt.py::b XFAIL\nt.py::c FAILED")).resolved).toBe(true);
  });

  it.each([
    ["failed", "t.py::a FAILED\nt.py::b PASSED"],
    ["broke", "t.py::a ERROR\nt.py::b PASSED"],
    ["is missing", "t.py::b PASSED"],
    ["passed and then broke", "t.py::a PASSED\nt.py::b PASSED\nt.py::a ERROR"],
    ["ran under a longer name", "t.py::a2 PASSED\nt.py::b PASSED"],
    ["is named with another status first", "PASSED t.py::a\nt.py::b PASSED"],
  ])("does not when one %s", (_, lines) => {
    const verdict = judged(marked(lines));
    expect(verdict).toMatchObject({ found: true, resolved: false });
    expect(verdict.failToPass.failure).toEqual(["t.py::a"]);
  });

  it("leaves skipped tests out of both lists, so that nothing but skipped ones is resolved", () => {
    const verdict = judged(marked("t.py::a SKIPPED (why)\nt.py::b PASSED"));
    expect(verdict).toMatchObject({ resolved: true, failToPass: { success: [], failure: [] } });
  });

  it("reads only what the first trace of each marker encloses", () => {
    const before = "t.py::a PASSED\n>>>>> Start Test Output in a patch, >>>>> End Test Output too\n";
    expect(judged(before + marked("t.py::b PASSED")).failToPass.failure).toEqual(["t.py::a"]);
    expect(judged(`${before}nothing traced`)).toMatchObject({ found: true, resolved: false, statuses: [] });
  });

  it("believes no log without markers, with markers the wrong way round, or with the mark of a time-out", () => {
    expect(judged("t.py::a PASSED\nt.py::b PASSED")).toMatchObject({ found: false, raised: false });
    const reversed = "+ : '>>>>> End Test Output'\n+ : '>>>>> Start Test Output'\nt.py::a PASSED";
    expect(judged(reversed)).toMatchObject({ found: false, raised: true });
    const both = marked("t.py::a PASSED\nt.py::b PASSED");
    expect(judged(`${both}\n\n>>>>> Tests Timed Out: 90 seconds exceeded`).found).toBe(false);
    expect(judged(both.replaceAll("\n", "\r\n")).resolved).toBe(true);
  });

  it.each([
    ["pytest_summary", "PASSED t.py::a\nFAILED t.py::b - why", { "t.py::a": "PASSED", "t.py::b": "FAILED" }],
    ["pytest_workers", "[gw0] PASSED t.py::a \n[gw1] ERROR t.py::b", { "t.py::a": "PASSED", "t.py::b": "ERROR" }],
    [
      "unittest_one_line",
      "test_a (m.C) ... ok\ntest_b (m.C) ... FAIL\ntest_c ... skipped",
      { "test_a (m.C)": "PASSED", "test_b (m.C)": "FAILED" },
    ],
    [
      "tornado",
      "a (m.C) ... ok\nb (m.C) ... skipped 'x'\nFAIL: c (m.C)\nERROR: d (m.C)",
      { "a (m.C)": "PASSED", "b (m.C)": "SKIPPED", "c (m.C)": "FAILED", "d (m.C)": "FAILED" },
    ],
  ])("reads the output of %s", (parser, lines, statuses) => {
    expect(Object.fromEntries(judged(marked(lines), parser).statuses)).toEqual(statuses);
  });
});
