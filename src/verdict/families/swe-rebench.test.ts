import { describe, expect, it } from "vitest";
import { judge } from "../judge.ts";

const judged = (log: string, parser = "parse_log_pytest") =>
  judge(log, {
    rule: "swe-rebench@39316f7",
    parser,
    evalType: "pass_and_fail",
    failToPass: ["t.py::a"],
    passToPass: ["t.py::b"],
  });
const marked = (text: string) => `: '>>>>> Start Test Output'\n${text}\n: '>>>>> End Test Output'\n`;

describe("the rule of SWE-rebench", () => {
  it("resolves as SWE-bench 4 does", () => {
    expect(judged(marked("PASSED t.py::a\nXFAIL t.py::b")).resolved).toBe(true);
    expect(judged(marked("PASSED t.py::a")).passToPass.failure).toEqual(["t.py::b"]);
    expect(judged(marked("SKIPPED t.py::a\nPASSED t.py::b")).failToPass).toEqual({ success: [], failure: [] });
    expect(judged(marked("PASSED t.py::a\nPASSED t.py::b\nERROR t.py::a - at teardown")).resolved).toBe(false);
  });

  it("reads nothing outside of the markers, even where nothing is between them", () => {
    const outside = `PASSED t.py::a\nPASSED t.py::b\n${marked("")}PASSED t.py::a\nPASSED t.py::b\n`;
    expect(judged(outside)).toMatchObject({ found: true, resolved: false, statuses: [] });
    expect(judged("PASSED t.py::a\nPASSED t.py::b").found).toBe(false);
    expect(judged(`${marked("PASSED t.py::a\nPASSED t.py::b")}>>>>> Tests Errored`).found).toBe(false);
  });

  it("knows the parsers that its rows name and no other", () => {
    expect(judged(marked("PASSED t.py::a[x]"), "parse_log_pytest_options").statuses).toHaveLength(1);
    expect(judged(marked("t.py::a PASSED"), "parse_log_pytest_v2").statuses).toHaveLength(1);
    expect(() => judged("", "parse_log_django")).toThrow(/no parser is called "parse_log_django"/);
  });
});
