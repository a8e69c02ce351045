import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { officialScript } from "../eval-script.ts";
import { resetAsIn4 } from "./reset-tests.ts";

const DATA = join(process.env["SANDLOT_DATA"] ?? resolve(import.meta.dirname, "../../../../shared/data"), "swebench");
const present = existsSync(DATA);
if (!present) console.warn(`comparing with the scripts of 4.1.0 is skipped: no ${DATA} (set SANDLOT_DATA)`);

/** Their set-up was mended when the rows got their scripts. */
const MENDED = ["astropy__astropy-8707", "astropy__astropy-8872"];

function testPatch(...files: readonly (readonly [before: string, after: string])[]): string {
  return files.map(([before, after]) => `--- ${before}\n+++ ${after}\n@@ -1 +1 @@\n-a\n+b\n`).join("");
}

describe("the files of hidden tests, reset as 4.1.0 does", () => {
  const script = (files: string) => `cd /testbed\ngit checkout abc ${files}\nmake test\ngit checkout abc ${files}`;

  it("are those that were there, by the names they had", () => {
    const patch = testPatch(["a/old.py", "b/moved.py"], ["/dev/null", "b/new.py"], ["a/t.py", "b/t.py"]);
    expect(resetAsIn4(script("moved.py new.py t.py"), { baseCommit: "abc", testPatch: patch })).toBe(
      script("old.py t.py"),
    );
  });

  it("are none when all are new: said so, but checked out all the same by a Python script", () => {
    const tests = { baseCommit: "abc", testPatch: testPatch(["/dev/null", "b/new.py"]) };
    expect(resetAsIn4("git checkout abc new.py\nmake", tests)).toBe('echo "No test files to reset"\nmake');
    const python = "conda activate testbed\ngit checkout abc new.py";
    expect(resetAsIn4(python, tests)).toBe("conda activate testbed\ngit checkout abc ");
  });

  it.skipIf(!present).each(["SWE-bench_Verified.test", "SWE-bench_Lite.test", "SWE-bench_Lite.dev"])(
    "make the published scripts of %s those of 4.1.0, byte for byte",
    (name) => {
      const scripts = new Map(rows(`${name}.eval_script_v410`).map((row) => [row.instance_id, row.eval_script]));
      const published = rows(`${name}.v5`).filter((row) => !MENDED.includes(row.instance_id));
      for (const row of published) {
        const reset = resetAsIn4(row.eval_script, { baseCommit: row.base_commit, testPatch: row.test_patch });
        expect(officialScript(reset, "swebench@4.1.0"), row.instance_id).toBe(scripts.get(row.instance_id));
      }
      expect(published.length).toBeGreaterThan(20);
    },
  );
});

interface Row {
  readonly instance_id: string;
  readonly base_commit: string;
  readonly test_patch: string;
  readonly eval_script: string;
}

function rows(name: string): readonly Row[] {
  const text = gunzipSync(readFileSync(join(DATA, `${name}.jsonl.gz`))).toString();
  return text
    .trim()
    .split("\n")
    .map((line): Row => JSON.parse(line));
}
