import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { SandlotError } from "../errors.ts";
import { check } from "../problem.ts";
import { END_TEST_OUTPUT, officialScript, START_TEST_OUTPUT } from "./eval-script.ts";
import { CommitId, ParserName, Program, Task } from "./task.ts";

const BUNDLED = join(import.meta.dirname, "bundled");

/**
 * The tasks that come with Sandlot, by id. A folder is one task: `task.yaml`, `instruction.md`, `repository.fast-export`, `gold.patch`, `test.patch` (the hidden tests) and any number of
 * `wrong-<name>.patch`. They have no official rule; the script has the shape of the official ones.
 */
export async function readBundledTasks(folder = BUNDLED): Promise<readonly Task[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const ids = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  return Promise.all(ids.sort().map((id) => readBundledTask(join(folder, id), id)));
}

const TaskFile = z.strictObject({
  repo: z.string().min(1),
  language: z.enum(["python", "javascript"]),
  difficulty: z.enum(["easy", "medium", "hard"]),
  base_commit: CommitId,
  requires: z.array(Program),
  parser: ParserName,
  /** Runs the hidden tests, and the visible ones that are in PASS_TO_PASS. */
  test_command: z.string().min(1),
  visible_test_command: z.string().min(1),
  fail_to_pass: z.array(z.string().min(1)).min(1),
  pass_to_pass: z.array(z.string().min(1)).min(1),
});
type TaskFile = z.infer<typeof TaskFile>;

async function readBundledTask(folder: string, id: string): Promise<Task> {
  const text = (name: string) => readFile(join(folder, name), "utf8");
  const read = check(TaskFile, parse(await text("task.yaml")));
  if (!read.ok) throw invalid(id, "task.yaml", read.problems);
  const file = read.value;
  const testPatch = await text("test.patch");
  const task = check(Task, {
    id,
    source: { dataset: "bundled" },
    repo: file.repo,
    language: file.language,
    difficulty: file.difficulty,
    instruction: await text("instruction.md"),
    environment: {
      repository: { type: "fast-export", path: join(folder, "repository.fast-export") },
      baseCommit: file.base_commit,
      requires: file.requires,
    },
    agent: { visibleTestCommand: file.visible_test_command },
    grader: {
      rule: "swebench@5.0.2",
      apply: "swebench@5.0.2",
      parser: file.parser,
      script: graderScript(file, testPatch),
      failToPass: file.fail_to_pass,
      passToPass: file.pass_to_pass,
      timeoutMs: 120_000,
    },
    oracle: { patch: await text("gold.patch"), testPatch, wrongPatches: await wrongPatches(folder) },
  });
  if (!task.ok) throw invalid(id, "the task", task.problems);
  return task.value;
}

async function wrongPatches(folder: string): Promise<Record<string, string>> {
  const patches: Record<string, string> = {};
  for (const file of (await readdir(folder)).sort()) {
    const name = /^wrong-(.+)\.patch$/.exec(file)?.[1];
    if (name !== undefined) patches[name] = await readFile(join(folder, file), "utf8");
  }
  return patches;
}

/** Starts in the workdir. Tests are restored first: changed ones from the base commit, new ones (that a submission may have made too) by removal. Unlike the official scripts it prints nothing of the submission. */
function graderScript(file: TaskFile, testPatch: string): string {
  const changed = testFiles(testPatch);
  const known = changed.filter((test) => !test.added).map((test) => quote(test.path));
  const added = changed.filter((test) => test.added).map((test) => quote(test.path));
  return officialScript(
    [
      ...(known.length > 0 ? [`git checkout ${file.base_commit} -- ${known.join(" ")}`] : []),
      ...(added.length > 0 ? [`rm -rf -- ${added.join(" ")}`] : []),
      "git apply -v - <<'EOF_114329324912'",
      testPatch,
      "EOF_114329324912",
      `: '${START_TEST_OUTPUT}'`,
      file.test_command,
      `: '${END_TEST_OUTPUT}'`,
    ].join("\n"),
  );
}

function testFiles(testPatch: string): { readonly path: string; readonly added: boolean }[] {
  return testPatch
    .split(/^(?=diff --git )/m)
    .filter((part) => part.startsWith("diff --git "))
    .map((part) => ({
      path: /^diff --git a\/.* b\/(.*)$/m.exec(part)?.[1] ?? "",
      added: /^new file mode /m.test(part),
    }));
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

function invalid(id: string, what: string, problems: readonly string[]): SandlotError {
  return new SandlotError("invalid", problems.map((problem) => `bundled ${id}, ${what}: ${problem}`).join("\n"));
}
