import { expect, test } from "vitest";
import { gradeLines } from "./grade-lines.ts";
import { printable, table } from "./print.ts";

test("nothing that is printed takes hold of the terminal", () => {
  expect(printable("a\x1b]0;title\x07b\r\n\tc\x9b1m")).toBe("a\\u001b]0;title\\u0007b\n\tc\\u009b1m");
});

test("a table is as wide as its cells, each on one line", () => {
  const rows = [{ id: "long-name", why: "two\nlines" }, { id: "x" }];
  expect(table(rows, ["id", "why"])).toBe("id         why\nlong-name  two lines\nx\n");
});

test("a grade without a reward says so", () => {
  const grade = {
    validity: "INFRA",
    outcome: "NO_VERDICT",
    reason: "lost",
    official_rule: "",
    tests: {},
    left_out: ["x"],
  };
  expect(gradeLines(grade)).toMatch(/^reward {8}none\noutcome {7}NO_VERDICT \(INFRA\)\n/);
  expect(gradeLines({ ...grade, reward: 0, tests: { FAIL_TO_PASS: { passed: 1, failed: 2 } } })).toMatch(
    /^reward {8}0\n[\s\S]*FAIL_TO_PASS {2}1 passed, 2 failed\n/,
  );
});
