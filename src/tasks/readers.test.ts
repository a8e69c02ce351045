import { describe, expect, it } from "vitest";
import { ORIGIN, problemsOf, ROWS, taskOf } from "./families/rows.fixture.ts";
import { FAMILIES, type Family } from "./reader.ts";
import { readRow } from "./readers.ts";
import { someRow, someTask } from "./task.fixture.ts";

const KNOB = "name the family of the set (--family, or family in the configuration)";
const families = Object.entries(ROWS) as [Family, Record<string, unknown>][];

describe("the family of a row", () => {
  it.each(families)("is told by the columns of %s", (family, row) => {
    const rule = taskOf(readRow(row, ORIGIN)).grader.rule;
    expect(rule).toMatch(new RegExp(`^${family}@`));
    expect(taskOf(readRow(row, ORIGIN, family)).grader.rule).toBe(rule);
  });

  it("is told for SWE-bench, old and new, and for our own form", () => {
    expect(taskOf(readRow(someRow(), ORIGIN)).grader.rule).toBe("swebench@5.0.2");
    const { eval_script: _, log_parser: __, ...classic } = someRow({ repo: "pallets/flask" });
    expect(taskOf(readRow(classic, ORIGIN)).grader.parser).toBe("parse_log_pytest");
    expect(taskOf(readRow(someTask(), ORIGIN)).id).toBe("own-1");
  });

  it("is refused with the columns when none has them, or more than one has", () => {
    expect(problemsOf(readRow({ task: 1, answer: 2 }, ORIGIN))).toEqual([
      `(row): expected the columns of a known family, got task, answer: ${KNOB}`,
    ]);
    expect(problemsOf(readRow({}, ORIGIN))).toEqual([
      `(row): expected the columns of a known family, got none: ${KNOB}`,
    ]);
    const both = { ...ROWS["swe-rebench"], test_cmds: ["x"], log_parser: "pytest" };
    expect(problemsOf(readRow(both, ORIGIN))).toEqual([
      `(row): expected the columns of one family, got those of swe-rebench and swe-bench-live (${Object.keys(both).join(", ")}): ${KNOB}`,
    ]);
    expect(taskOf(readRow(both, ORIGIN, "swe-bench-live")).grader.rule).toMatch(/^swe-bench-live/);
  });

  it("that is named goes before what the columns tell", () => {
    expect(problemsOf(readRow(ROWS["swe-bench-live"], ORIGIN, "swe-rebench"))).toContain(
      "install_config: expected an object, got nothing",
    );
  });

  it.each(families)("names each column of %s that is missing or wrong, as the row spells it", (family, row) => {
    const [reads] = FAMILIES.filter((one) => one === family);
    for (const column of Object.keys(row)) {
      const without = Object.fromEntries(Object.entries(row).filter(([name]) => name !== column));
      for (const problem of problemsOf(readRow(without, ORIGIN, reads)))
        expect(problem).toMatch(new RegExp(`^${column}: expected .*, got `));
      for (const problem of problemsOf(readRow({ ...row, [column]: 5.5 }, ORIGIN, reads))) {
        expect(problem).toMatch(new RegExp(`^${column}(\\.\\w+)*: expected .*, got `));
      }
    }
  });

  it.each(families)("takes a column of %s without a value for one that is not there", (family, row) => {
    for (const column of Object.keys(row)) {
      const without = Object.fromEntries(Object.entries(row).filter(([name]) => name !== column));
      const [absent, empty] = [without, { ...row, [column]: null }].map((one) => readRow(one, ORIGIN, family));
      expect([column, empty?.ok]).toEqual([column, absent?.ok]);
    }
  });
});
