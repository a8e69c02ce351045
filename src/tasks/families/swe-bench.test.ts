import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { PARSERS } from "../../verdict/parsers.ts";
import { officialScript } from "../eval-script.ts";
import { fileSource } from "../sources/file.ts";
import { BASE, someRow } from "../task.fixture.ts";
import type { Task } from "../task.ts";
import { readTaskSet } from "../task-set.ts";
import { sweBench } from "./swe-bench.ts";

const ORIGIN = { folder: "/rows", dataset: "some", revision: "", split: "test" };
const DATA = join(process.env["SANDLOT_DATA"] ?? resolve(import.meta.dirname, "../../../../shared/data"), "swebench");
const present = existsSync(DATA);
if (!present) console.warn(`reading the published rows is skipped: no ${DATA} (set SANDLOT_DATA)`);

function read(changes: Record<string, unknown>): Task {
  const got = sweBench.read(someRow(changes), ORIGIN);
  if (!got.ok) throw new Error(got.problems.join("\n"));
  return got.value;
}

function problems(changes: Record<string, unknown>): string[] {
  const got = sweBench.read(someRow(changes), ORIGIN);
  return got.ok ? [] : got.problems;
}

describe("a row in SWE-bench form", () => {
  it("becomes a task with the official recipe, rule and history", () => {
    const task = read({});
    expect(task).toMatchObject({
      id: "acme__tool-1",
      source: { dataset: "some", revision: "", split: "test" },
      instruction: "It is broken.\r\n",
      environment: {
        repository: { type: "name", name: "acme/tool" },
        baseCommit: BASE,
        setup: { type: "swebench", repo: "acme/tool", version: "1.0" },
        history: "past",
      },
      oracle: { patch: "the gold patch\n", testPatch: "the hidden tests\n" },
    });
    expect(task.grader).toMatchObject({ official: true, parser: "parse_log_pytest", rule: "swebench@5.0.2" });
    expect(task.grader.failToPass).toEqual(["t.py::a"]);
    expect(task.grader.passToPass).toEqual(["t.py::b"]);
  });

  it("gets the script that the official harness runs, which records the exit code of the tests", () => {
    expect(read({}).grader.script.split("\n")).toEqual([
      "#!/bin/bash",
      "set -uxo pipefail",
      "conda activate testbed",
      ": '>>>>> Start Test Output'",
      "pytest",
      "SWEBENCH_TEST_EXIT_CODE=$?",
      ": '>>>>> End Test Output'",
      'echo ">>>>> Test Exit Code: $SWEBENCH_TEST_EXIT_CODE"',
      "true",
      "",
    ]);
  });

  it("has no official rule when its log is read by a parser of our own", () => {
    expect(read({ log_parser: "unittest" }).grader.official).toBe(false);
  });

  it("keeps every other byte of its script", () => {
    const script =
      "cat <<'E'\r\n+\u2028 \t\nE\n: '>>>>> Start Test Output'\nset -uxo pipefail\n: '>>>>> End Test Output'\n";
    expect(read({ eval_script: script }).grader.script).toBe(
      "#!/bin/bash\nset -uxo pipefail\ncat <<'E'\r\n+\u2028 \t\nE\n: '>>>>> Start Test Output'\nSWEBENCH_TEST_EXIT_CODE=$?\n: '>>>>> End Test Output'\necho \">>>>> Test Exit Code: $SWEBENCH_TEST_EXIT_CODE\"\n",
    );
  });

  it("may have a local repository, with its own set-up", () => {
    const task = read({ repository: "clones/tool", version: null, setup: ["make"], requires: ["cc"] });
    expect(task.environment).toMatchObject({
      repository: { type: "path", path: "/rows/clones/tool" },
      setup: { type: "commands", commands: ["make"] },
      requires: ["cc"],
    });
    expect(read({ repository: "/x/y.fast-export" }).environment.repository).toEqual({
      type: "fast-export",
      path: "/x/y.fast-export",
    });
    expect(read({ repo: "./tool" }).environment).toMatchObject({
      repository: { type: "path", path: "/rows/tool" },
      setup: { type: "commands", commands: [] },
    });
  });

  it("needs an image when its script is not for the official recipe, and fetched files when its tests have some", () => {
    const script = ": '>>>>> Start Test Output'\nmake test\n: '>>>>> End Test Output'\n";
    const needs = (changes: Record<string, unknown>) => read(changes).needs.map(({ capability }) => capability);
    expect(needs({})).toEqual([]);
    expect(needs({ eval_script: script })).toEqual(["images"]);
    expect(read({ eval_script: script }).environment.rootfs).toMatchObject({ type: "image", ref: "some/image:latest" });
    expect(needs({ eval_script: script, setup: [] })).toEqual([]);
    expect(needs({ image_assets: '{"test_patch": [], "problem_statement": ["a.png"]}' })).toEqual([]);
    expect(needs({ image_assets: { test_patch: ["a.png"] } })).toEqual(["test-assets"]);
  });

  it("needs no official recipe when its script activates no official environment", () => {
    const script = ": '>>>>> Start Test Output'\nmake test\n: '>>>>> End Test Output'\n";
    expect(read({ eval_script: script, image: null }).environment.setup).toMatchObject({
      type: "commands",
      commands: [],
    });
  });

  it("is refused when no log of its script could be judged", () => {
    expect(problems({ eval_script: "make test\n" })).toEqual([
      expect.stringMatching(/^eval_script: expected the lines .*Start Test Output.*, got "make test\\n"$/),
    ]);
  });

  it("is refused with each field that does not fit, by the name of its column", () => {
    expect(problems({ base_commit: "main", eval_script: undefined, log_parser: "parse_log_cobol" })).toEqual([
      'base_commit: expected a full commit id, 40 hex digits, got "main"',
      "eval_script: expected a string, got nothing",
      'log_parser: expected the name of a known log parser, got "parse_log_cobol"',
    ]);
    expect(problems({ FAIL_TO_PASS: "t.py::a" })).toEqual([
      'FAIL_TO_PASS: expected a list of test names, or JSON of one, got "t.py::a"',
    ]);
    expect(problems({ FAIL_TO_PASS: "[]" })[0]).toMatch(/^FAIL_TO_PASS: expected a list that is not empty, got/);
    expect(problems({ PASS_TO_PASS: '{"a": 1}' })[0]).toMatch(/^PASS_TO_PASS: expected a list of test names/);
    expect(problems({ repo: "tool" })[0]).toMatch(/^repo: expected owner\/name or a path, got "tool"/);
    expect(problems({ eval_type: "maybe" })).toEqual([
      'eval_type: expected "pass_and_fail" or "fail_only", got "maybe"',
    ]);
  });

  it("without a script gets that of the harness before rows held theirs", () => {
    const test_patch = "diff --git a/t.py b/t.py\n--- a/t.py\n+++ b/t.py\n@@ -1 +1 @@\n-a\n+b\n";
    const { eval_script: _, log_parser: __, ...row } = someRow({ repo: "pallets/flask", version: "2.0", test_patch });
    const got = sweBench.read(row, ORIGIN);
    if (!got.ok) throw new Error(got.problems.join("\n"));
    expect(got.value.grader).toMatchObject({ parser: "parse_log_pytest", official: true });
    expect(got.value.grader.script.split("\n")).toEqual(
      expect.arrayContaining([`git checkout ${BASE} t.py`, "pytest -rA t.py"]),
    );
    const other = sweBench.read({ ...row, repo: "acme/tool" }, ORIGIN);
    expect(other).toEqual({
      ok: false,
      problems: ['repo: expected eval_script in the row, or a Python repository of SWE-bench, got "acme/tool"'],
    });
  });

  it.skipIf(!present).each([
    ["SWE-bench_Lite.dev", 23],
    ["SWE-bench_Lite.test", 300],
    ["SWE-bench_Verified.test", 500],
  ])("without a script is each published row of %s as harness 4.1.0 would have run it", (name, count) => {
    const lines = (file: string): Record<string, string>[] =>
      gunzipSync(readFileSync(join(DATA, file)))
        .toString("utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line));
    const official = new Map(
      lines(`${name}.eval_script_v410.jsonl.gz`).map((row) => [row["instance_id"], row["eval_script"]]),
    );
    let compared = 0;
    for (const { eval_script, log_parser, eval_type: _, image: __, ...row } of lines(`${name}.v5.jsonl.gz`)) {
      const got = sweBench.read(row, ORIGIN);
      if (!got.ok) throw new Error(got.problems.join("\n"));
      expect(got.value.grader.script, got.value.id).toBe(officialScript(official.get(got.value.id) ?? ""));
      expect(PARSERS.get(got.value.grader.parser), got.value.id).toBe(PARSERS.get(log_parser ?? ""));
      expect(eval_script).toBeDefined();
      compared += 1;
    }
    expect(compared).toBe(count);
  });

  it.skipIf(!present).each(["SWE-bench_Lite.dev", "SWE-bench_Lite.test", "SWE-bench_Verified.test"])(
    "is for release 4.1.0 each published row of %s with the script that it made",
    (name) => {
      const lines = (file: string): Record<string, string>[] =>
        gunzipSync(readFileSync(join(DATA, file)))
          .toString("utf8")
          .trimEnd()
          .split("\n")
          .map((line) => JSON.parse(line));
      const rows = lines(`${name}.v5.jsonl.gz`);
      const scripts = new Map(
        lines(`${name}.eval_script_v410.jsonl.gz`).map((row) => [row["instance_id"], row["eval_script"]]),
      );
      for (const row of rows) {
        const got = sweBench.read(row, { ...ORIGIN, rule: "swebench@4.1.0" });
        if (!got.ok) throw new Error(got.problems.join("\n"));
        const { rule, apply, script } = got.value.grader;
        expect([rule, apply], got.value.id).toEqual(["swebench@4.1.0", "swebench@4.1.0"]);
        expect(script, got.value.id).toBe(scripts.get(got.value.id));
      }
      expect(rows.length).toBe(scripts.size);
    },
  );

  it("is graded as the release that its set names, with the parsers and the apply chain of that", () => {
    const old = sweBench.read(someRow(), { ...ORIGIN, rule: "swebench@4.1.0" });
    const latest = sweBench.read(someRow(), ORIGIN);
    if (!old.ok || !latest.ok) expect.fail("both were read");
    expect(old.value.grader).toMatchObject({ rule: "swebench@4.1.0", apply: "swebench@4.1.0" });
    expect(latest.value.grader).toMatchObject({ rule: "swebench@5.0.2", apply: "swebench@5.0.2" });
    expect(latest.value.grader.script).toContain("SWEBENCH_TEST_EXIT_CODE=$?");
    expect(old.value.grader.script).not.toContain("SWEBENCH_TEST_EXIT_CODE");
    expect(old.value.grader.instance).toEqual({ id: "acme__tool-1", version: "1.0" });
  });

  it.skipIf(!present)("is each published row of Lite and Verified", async () => {
    const files = readdirSync(DATA).filter((file) => file.endsWith(".v5.jsonl.gz"));
    const tasks = (
      await Promise.all(files.map((file) => readTaskSet({ sources: [fileSource(join(DATA, file))] })))
    ).flat();
    expect(tasks.length).toBeGreaterThanOrEqual(873);
    for (const task of tasks) {
      expect(PARSERS.has(task.grader.parser), task.id).toBe(true);
      expect(task.environment.setup.type, task.id).toBe("swebench");
      expect(
        task.grader.script.match(/^SWEBENCH_TEST_EXIT_CODE=\$\?\n: '>>>>> End Test Output'$/gm),
        task.id,
      ).toHaveLength(1);
      // The official here-document ends a patch with one more line feed.
      expect(task.grader.script.includes(`\n${task.oracle.testPatch}\nEOF_114329324912\n`), task.id).toBe(true);
    }
  });
});
