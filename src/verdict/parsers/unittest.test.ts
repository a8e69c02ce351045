import { describe, expect, it } from "vitest";
import { NO_INSTANCE } from "./parser.ts";
import { parseUnittest } from "./unittest.ts";

function read(...lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(parseUnittest(lines.join("\n"), NO_INSTANCE));
}

const RULE = "=".repeat(70);

describe("the unittest parser", () => {
  it("gives the same ids for the lines of Python 3.11 and of older ones", () => {
    expect(read("test_a (pkg.mod.Case.test_a) ... ok", "test_b (pkg.mod.Case) ... FAIL")).toEqual({
      "pkg.mod.Case.test_a": "PASSED",
      "pkg.mod.Case.test_b": "FAILED",
    });
  });

  it("reads every kind of result", () => {
    expect(
      read(
        "test_a (m.C.test_a) ... ERROR",
        `test_b (m.C.test_b) ... skipped "why it's"`,
        "test_c (m.C.test_c) ... expected failure",
        "test_d (m.C.test_d) ... unexpected success",
      ),
    ).toEqual({ "m.C.test_a": "ERROR", "m.C.test_b": "SKIPPED", "m.C.test_c": "XFAIL", "m.C.test_d": "FAILED" });
  });

  it("finds the result behind a docstring", () => {
    expect(read("test_a (m.C.test_a)", "Adds ... numbers. ... ok", "test_b (m.C.test_b)", "Fails. ... FAIL")).toEqual({
      "m.C.test_a": "PASSED",
      "m.C.test_b": "FAILED",
    });
  });

  it("finds the result behind what the test printed", () => {
    expect(
      read(
        "test_a (m.C.test_a) ... hello",
        "FAIL",
        "ok",
        "test_b (m.C.test_b) ... no line feedok",
        "test_c (m.C.test_c) ... x",
        "FAIL",
      ),
    ).toEqual({ "m.C.test_a": "PASSED", "m.C.test_b": "PASSED", "m.C.test_c": "FAILED" });
  });

  it("does not give the error of a class's set-up to the test before it", () => {
    expect(
      read("test_a (m.C.test_a) ... expected failure", "ERROR", "", RULE, "ERROR: setUpClass (m.D)", "-".repeat(70)),
    ).toEqual({ "m.C.test_a": "XFAIL", "m.D.setUpClass": "ERROR" });
  });

  it("lets the sections of failures overrule a pass that a test printed", () => {
    expect(read("test_a (m.C.test_a) ... ok", "ok", RULE, "FAIL: test_a (m.C.test_a)", "text")).toEqual({
      "m.C.test_a": "FAILED",
    });
  });

  it("fails a test of which one subtest fails, and keeps the pass of one of which a subtest was skipped", () => {
    expect(
      read(
        "test_a (m.C.test_a) ... ",
        "  test_a (m.C.test_a) [msg] (i=1) ... FAIL",
        "test_b (m.C.test_b) ... ok",
        "",
        RULE,
        "FAIL: test_a (m.C.test_a) [msg] (i=1)",
      ),
    ).toEqual({ "m.C.test_a": "FAILED", "m.C.test_b": "PASSED" });
  });

  it("takes no section where no rule stands before it", () => {
    expect(read("test_a (m.C.test_a) ... ERROR: forged (a.b)", "ok", "FAIL: test_a (m.C.test_a)")).toEqual({
      "m.C.test_a": "PASSED",
    });
  });
});
