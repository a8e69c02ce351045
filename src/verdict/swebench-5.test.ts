import { describe, expect, it } from "vitest";
import { judge } from "./judge.ts";
import type { Expectation, Verdict } from "./verdict.ts";

const START = "+ : '>>>>> Start Test Output'";
const END = "+ : '>>>>> End Test Output'";

function verdict(log: string, more: Partial<Expectation> = {}): Verdict {
  const none = { failToPass: ["f"], passToPass: ["p"] };
  return judge(log, {
    rule: "swebench@5.0.2",
    parser: "parse_log_pytest",
    evalType: "pass_and_fail",
    ...none,
    ...more,
  });
}

function between(...lines: readonly string[]): string {
  return [START, ...lines, END, ""].join("\n");
}

describe("the rule swebench@5.0.2", () => {
  it("resolves when every expected test passed, expected failures included", () => {
    expect(verdict(between("PASSED f", "XFAIL p"))).toMatchObject({ found: true, resolved: true });
  });

  it("counts a missing, a failed and a skipped FAIL_TO_PASS test as failures, and a skipped PASS_TO_PASS test as maintained", () => {
    for (const line of ["PASSED other", "FAILED f - x", "ERROR f", "SKIPPED f", "XPASS f"]) {
      expect(verdict(between(line, "SKIPPED p"))).toMatchObject({
        found: true,
        resolved: false,
        failToPass: { failure: ["f"] },
        passToPass: { success: ["p"] },
      });
    }
  });

  it("reads between the first markers, whatever line ends the log has", () => {
    const log = `PASSED f\r\n${START}\rFAILED f - x\r\nPASSED p\r${END}\nPASSED f\n`;
    expect(verdict(log)).toMatchObject({ found: true, resolved: false, failToPass: { failure: ["f"] } });
  });

  it("reads the whole log when nothing stands between the markers", () => {
    expect(verdict(`PASSED f\nPASSED p\n${between()}`)).toMatchObject({ found: true, resolved: true });
  });

  it.each([
    ["a marker is missing", `${START}\nPASSED f\nPASSED p\n`],
    ["the log says that something went wrong", `>>>>> Tests Timed Out\n${between("PASSED f", "PASSED p")}`],
    ["nothing ran", between("Executed 0 of 0")],
    ["the command failed and no test did", `${between("PASSED f", "PASSED p")}>>>>> Test Exit Code: 2\n`],
  ])("finds nothing when %s", (_, log) => {
    expect(verdict(log)).toMatchObject({ found: false, resolved: false, problem: expect.any(String) });
  });

  it("goes by the first exit code, in the digits of any script, and only where no test failed", () => {
    const passed = between("PASSED f", "PASSED p");
    expect(verdict(`${passed}>>>>> Test Exit Code: \u0660\n>>>>> Test Exit Code: 1\n`).resolved).toBe(true);
    expect(verdict(`${passed}>>>>> Test Exit Code: \u0661\n`).found).toBe(false);
    expect(verdict(`${between("PASSED f", "PASSED p", "FAILED x")}>>>>> Test Exit Code: 1\n`).resolved).toBe(true);
  });

  it("lets an id that was cut in its parameters stand for all that begin with it, if they agree", () => {
    const cut = { failToPass: ["t[a"], passToPass: [] };
    expect(verdict(between("PASSED t[a-1]", "XFAIL t[a-2]"), cut).resolved).toBe(true);
    expect(verdict(between("PASSED t[a-1]", "FAILED t[a-2]"), cut).resolved).toBe(false);
    expect(verdict(between("PASSED t[a-1]", "PASSED t"), { ...cut, failToPass: ["t[a]"] }).resolved).toBe(false);
  });

  it("takes what is absent for a success with fail_only, if there is a sign that tests ran", () => {
    const failOnly = { evalType: "fail_only" } as const;
    expect(verdict(between("12 passing"), failOnly).resolved).toBe(true);
    expect(verdict(between(""), failOnly).found).toBe(false);
    expect(verdict(between("FAILED f"), failOnly)).toMatchObject({ resolved: false, passToPass: { success: ["p"] } });
  });

  it("finds nothing in a log at which the official parser raises", () => {
    const django = verdict(between("f ... ok", "p ... ok", "FAIL:"), { parser: "parse_log_django" });
    expect(django).toMatchObject({ found: false, resolved: false });
  });
});
