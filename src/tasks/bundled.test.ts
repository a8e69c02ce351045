import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Workplace } from "./bundled.fixture.ts";
import { readBundledTasks } from "./bundled.ts";
import { promptOf } from "./prompt.ts";

const tasks = await readBundledTasks();

describe("the bundled tasks", () => {
  it("are eight, half of them in each language, of graded difficulty", () => {
    expect(tasks.map((task) => task.language).sort()).toEqual([
      ...Array(4).fill("javascript"),
      ...Array(4).fill("python"),
    ]);
    expect(new Set(tasks.map((task) => task.difficulty))).toEqual(new Set(["easy", "medium", "hard"]));
  });

  it("need two or more files in at least three cases", () => {
    const filesOf = (patch: string) => patch.match(/^diff --git /gm)?.length ?? 0;
    expect(tasks.filter((task) => filesOf(task.oracle.patch) >= 2).length).toBeGreaterThanOrEqual(3);
  });

  it("are refused with the field's name when their file is wrong", async () => {
    const folder = await mkdtemp(join(tmpdir(), "bundled-"));
    await mkdir(join(folder, "py-x"));
    await writeFile(join(folder, "py-x", "task.yaml"), "repo: a/b\nlanguage: cobol\n");
    await expect(readBundledTasks(folder)).rejects.toThrow(
      'bundled py-x, task.yaml: language: expected "python" or "javascript", got "cobol"',
    );
    await rm(folder, { recursive: true });
  });
});

describe.each(tasks.map((task) => [task.id, task] as const))("%s", (_, task) => {
  const { failToPass, passToPass } = task.grader;
  const newLines = (patch: string) => (patch.match(/^\+(?!\+\+ ).*$/gm) ?? []).map((line) => line.slice(1).trim());

  it("is rebuilt with the stated base commit at the tip of an honest history", async () => {
    await using place = await Workplace.of(task);
    expect(await place.git("rev-parse", "HEAD")).toBe(task.environment.baseCommit);
    expect(await place.git("for-each-ref", "--format=%(refname)")).toBe("refs/heads/main");
    expect(Number(await place.git("rev-list", "--count", "HEAD"))).toBeGreaterThanOrEqual(3);
    const files = (await place.git("ls-files")).split("\n");
    expect(files).toContain("README.md");
    expect(files.length).toBeGreaterThanOrEqual(5);
  });

  it("shows nothing hidden in its repository's history or its prompt", async () => {
    await using place = await Workplace.of(task);
    const tree = (await place.play("", "git grep -h '' HEAD && git ls-files")).output;
    const shown = `${(await place.play("", "git log -p")).output}${JSON.stringify(promptOf(task))}${task.instruction}`;
    const lines = [...newLines(task.oracle.patch), ...newLines(task.oracle.testPatch)];
    expect(lines.filter((line) => line.length > 1 && !tree.includes(line) && shown.includes(line))).toEqual([]);
    const leaves = failToPass.map((name) => name.split(task.language === "python" ? "." : " > ").at(-1) ?? name);
    expect(leaves.filter((name) => shown.includes(name))).toEqual([]);
  });

  it("passes its visible tests before the fix and after it, and they leave no file to submit", async () => {
    await using place = await Workplace.of(task);
    for (const patch of ["", task.oracle.patch]) {
      const ended = await place.play(patch, task.agent.visibleTestCommand);
      expect(ended.exitCode, ended.output).toBe(0);
      expect(await place.git("ls-files", "--others", "--exclude-standard")).toBe("");
    }
  });

  it("fails all its hidden tests that the fix is to pass, and no other, before the fix", async () => {
    await using place = await Workplace.of(task);
    const verdict = await place.grade("");
    expect(verdict).toMatchObject({ found: true, resolved: false });
    expect(verdict.failToPass).toEqual({ success: [], failure: failToPass });
    expect(verdict.passToPass).toEqual({ success: passToPass, failure: [] });
  });

  it("is resolved by the gold patch", async () => {
    await using place = await Workplace.of(task);
    const verdict = await place.grade(task.oracle.patch);
    expect(verdict).toMatchObject({ found: true, resolved: true });
    expect(verdict.statuses.map(([test]) => test).sort()).toEqual([...failToPass, ...passToPass].sort());
  });

  it.each(Object.entries(task.oracle.wrongPatches))("is not resolved by the wrong patch %s", async (_, patch) => {
    await using place = await Workplace.of(task);
    const verdict = await place.grade(patch);
    expect(verdict).toMatchObject({ found: true, resolved: false });
    expect([...verdict.failToPass.failure, ...verdict.passToPass.failure]).not.toEqual([]);
  });
});

describe("tempting patches", () => {
  it("pass what the fix is to pass, but break what passed before, in at least two tasks", async () => {
    const tempted = await Promise.all(
      tasks.map(async (task) => {
        await using place = await Workplace.of(task);
        for (const patch of Object.values(task.oracle.wrongPatches)) {
          const { failToPass, passToPass } = await place.grade(patch);
          if (failToPass.failure.length === 0 && passToPass.failure.length > 0) return [task.id];
        }
        return [];
      }),
    );
    expect(tempted.flat().length).toBeGreaterThanOrEqual(2);
  });
});
