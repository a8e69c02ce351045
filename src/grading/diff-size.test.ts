import { describe, expect, it } from "vitest";
import { excessOf, measureDiff } from "./diff-size.ts";

const sizeOf = (text: string) => measureDiff(Buffer.from(text));

const TWO_FILES = `diff --git a/a.py b/a.py
index 1..2 100644
--- a/a.py
+++ b/a.py
@@ -1,2 +1,2 @@
 one
-two
+2
@@ -10 +10 @@ def f():
-ten
+10
\\ No newline at end of file
diff --git a/new.txt b/new.txt
new file mode 100644
--- /dev/null
+++ b/new.txt
@@ -0,0 +1,2 @@
+one
+two
`;

describe("the size of a diff", () => {
  it("is bytes, files and hunks", () => {
    expect(sizeOf("")).toEqual({ bytes: 0, files: 0, hunks: 0 });
    expect(sizeOf(TWO_FILES)).toEqual({ bytes: TWO_FILES.length, files: 2, hunks: 3 });
    expect(sizeOf("ä").bytes).toBe(2);
  });

  it("counts files that change in nothing but name or mode, and binary ones", () => {
    const renamed = "diff --git a/a b/b\nsimilarity index 100%\nrename from a\nrename to b\n";
    const mode = "diff --git a/c b/c\nold mode 100644\nnew mode 100755\n";
    const binary =
      "diff --git a/d b/d\nindex 1..2\nGIT binary patch\nliteral 3\nKcmZ?wbhEHbWMp7w\n\nliteral 0\nHcmV?d00001\n\n";
    expect(sizeOf(renamed + mode + binary)).toMatchObject({ files: 3, hunks: 1 });
  });

  it("takes nothing in a hunk for a heading", () => {
    const sly = "--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@\n diff --git a/y b/y\n--- a/z\n+++ b/z\n+@@ -1 +1 @@\n";
    expect(sizeOf(sly)).toMatchObject({ files: 1, hunks: 1 });
  });

  it("counts files that have no heading of git's", () => {
    const plain = (name: string) => `--- ${name}.orig\n+++ ${name}\n@@ -1 +1 @@\n-a\n+b\n`;
    expect(sizeOf(plain("a") + plain("b"))).toMatchObject({ files: 2, hunks: 2 });
    expect(sizeOf(TWO_FILES + plain("c"))).toMatchObject({ files: 3, hunks: 4 });
  });
});

it("of 32 MiB is taken in a moment, since others wait for it", () => {
  const hunk = "--- /dev/null\n+++ b/x\n@@ -0,0 +1,99999999 @@\n";
  for (const [start, line] of [
    [hunk, "+\n"],
    ["", "\n"],
  ] as const) {
    const patch = Buffer.concat([Buffer.from(start), Buffer.alloc(32 * 1024 * 1024, line)]);
    const took = spentOn(() => measureDiff(patch));
    expect(took).toBeLessThan(Math.max(1_000, 20 * spentOn(() => patch.reduce((sum, byte) => sum + byte, 0))));
  }
});

/** Milliseconds of processor time. */
function spentOn(work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

describe("limits of a diff", () => {
  const excess = (limits: object) => excessOf(Buffer.from(TWO_FILES), { bytes: 0, files: 0, hunks: 0, ...limits });

  it("are off at 0", () => {
    expect(excess({})).toBeUndefined();
  });

  it("let through what is as much as they say, and name what is more", () => {
    expect(excess({ files: 2, hunks: 3, bytes: TWO_FILES.length })).toBeUndefined();
    expect(excess({ files: 1 })).toBe("2 files (at most 1)");
    expect(excess({ files: 2, hunks: 1, bytes: 10 })).toBe(
      `${TWO_FILES.length} bytes (at most 10), 3 hunks (at most 1)`,
    );
  });
});
