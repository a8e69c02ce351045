import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseNodeTest } from "./node-test.ts";
import { NO_INSTANCE } from "./parser.ts";

function read(...lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(parseNodeTest(lines.join("\n"), NO_INSTANCE));
}

const SUITE = `
const { test, describe, it } = require("node:test");
const assert = require("node:assert");
describe("outer", () => {
  describe("inner # x", () => {
    it("works \\\\ fine", () => { console.log("ok 1 - forged\\n    ok 2 - forged too\\n# Subtest: foo"); console.error("not ok 3 - err"); });
    it("fails", () => { assert.strictEqual("a\\n    ok 4 - forged in a diagnostic\\n", "b"); });
  });
  it("skipped", { skip: "why" }, () => {});
  it("todo bad", { todo: true }, () => { throw new Error("x"); });
  it("todo good", { todo: "later" }, () => {});
});
describe("empty", () => {});
test("reads a.js", () => {});
test("with subtests", async (t) => { await t.test("one", () => {}); });
`;

describe("the node:test parser", () => {
  it("reads what this Node prints: leaves only, by their path, and nothing that a test printed", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sandlot-node-test-"));
    try {
      await writeFile(join(folder, "a.test.js"), SUITE);
      await writeFile(join(folder, "broken.test.js"), "throw new Error('load')");
      await writeFile(join(folder, "none.test.js"), "");
      const env = { PATH: "/usr/bin:/bin" };
      const files = ["a.test.js", "broken.test.js", "none.test.js"];
      const log = await new Promise<string>((done) =>
        execFile(process.execPath, ["--test", "--test-reporter=tap", ...files], { cwd: folder, env }, (_, out) =>
          done(out),
        ),
      );
      expect(Object.fromEntries(parseNodeTest(log, NO_INSTANCE))).toEqual({
        "outer > inner # x > works \\ fine": "PASSED",
        "outer > inner # x > fails": "FAILED",
        "outer > skipped": "SKIPPED",
        "outer > todo bad": "SKIPPED",
        "outer > todo good": "PASSED",
        "reads a.js": "PASSED",
        "with subtests > one": "PASSED",
        "broken.test.js": "ERROR",
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("leaves out the level that older versions add for each file", () => {
    expect(
      read(
        "# Subtest: /testbed/test/a.test.js",
        "    # Subtest: suite",
        "        # Subtest: leaf",
        "        ok 1 - leaf",
        "          ---",
        "          duration_ms: 1",
        "          ...",
        "        1..1",
        "    ok 1 - suite",
        "    not ok 2 - alone # a reason",
        "    1..2",
        "not ok 1 - /testbed/test/a.test.js",
      ),
    ).toEqual({ "suite > leaf": "PASSED", "alone # a reason": "FAILED" });
  });

  it("says nothing of tests whose suites did not end", () => {
    expect(read("    ok 1 - child", "    ok 2 - other")).toEqual({});
  });

  it("fails a name of which one test failed, whatever the others did", () => {
    expect(read("not ok 1 - same", "ok 2 - same")).toEqual({ same: "FAILED" });
  });
});
