import { isAbsolute, resolve } from "node:path";
import { z } from "zod";
import { check } from "../problem.ts";
import { officialScript } from "./eval-script.ts";
import type { RowOrigin, RowReader } from "./reader.ts";
import { CommitId, type EnvironmentRecipe, ParserName, Program, Task, TaskId, TestScript } from "./task.ts";

/** Rows in the form of SWE-bench 5: the columns of the published data sets. */
export const swebench: RowReader = {
  claims: (row) => "instance_id" in row,
  read(row, origin) {
    const read = check(Row, row);
    return read.ok ? check(Task, taskFields(read.value, origin)) : read;
  },
};

const NOT_TESTS = "expected a list of test names, or JSON of one";
const Tests = z
  .union([z.array(z.string()), z.string().transform(jsonList)], { error: NOT_TESTS })
  .pipe(z.array(z.string().min(1), { error: NOT_TESTS }));

/** Columns not named here (hints_text, created_at, image, environment_setup_commit, ...) have no effect. */
const Row = z.object({
  instance_id: TaskId,
  repo: z.string().regex(/^([\w.-]+\/[\w.-]+|\.{0,2}\/.*)$/, "expected owner/name or a path"),
  base_commit: CommitId,
  problem_statement: z.string().min(1),
  eval_script: TestScript,
  log_parser: ParserName,
  FAIL_TO_PASS: Tests.pipe(z.array(z.string()).min(1)),
  PASS_TO_PASS: Tests.default([]),
  eval_type: z.enum(["pass_and_fail", "fail_only"]).default("pass_and_fail"),
  version: z.coerce.string().nullish(),
  patch: z.string().nullish(),
  test_patch: z.string().nullish(),
  difficulty: z.string().nullish(),
  language: z.string().nullish(),
  /** Files that a text patch cannot carry have to be fetched by the official run: not supported. */
  image_assets: z
    .unknown()
    .refine((assets) => isEmpty(assets), "expected no image assets: they are not supported")
    .optional(),
  /** Ours: a local clone or a `git fast-export` stream (ending in `.fast-export`), relative to the file. */
  repository: z.string().min(1).nullish(),
  /** Ours: commands that make the environment, in place of the official recipe of `repo` and `version`. */
  setup: z.array(z.string().min(1)).nullish(),
  /** Ours: programs that must be on PATH inside. */
  requires: z.array(Program).nullish(),
});
type Row = z.infer<typeof Row>;

const DIFFICULTY = new Map<string, Task["difficulty"]>([
  ["easy", "easy"],
  ["medium", "medium"],
  ["hard", "hard"],
  ["<15 min fix", "easy"],
  ["15 min - 1 hour", "medium"],
  ["1-4 hours", "hard"],
  [">4 hours", "hard"],
]);

function taskFields(row: Row, origin: RowOrigin): z.input<typeof Task> {
  return {
    id: row.instance_id,
    source: { dataset: origin.dataset, revision: origin.revision, split: origin.split },
    repo: row.repo,
    language: row.language ?? (usesConda(row) ? "python" : ""),
    difficulty: DIFFICULTY.get(row.difficulty ?? "") ?? "",
    instruction: row.problem_statement,
    environment: {
      repository: repositoryOf(row, origin.folder),
      baseCommit: row.base_commit,
      requires: row.requires ?? [],
      setup: setupOf(row),
      history: "past",
    },
    grader: {
      rule: "swebench@5.0.2",
      apply: "swebench@5.0.2",
      parser: row.log_parser,
      evalType: row.eval_type,
      script: officialScript(row.eval_script),
      failToPass: row.FAIL_TO_PASS,
      passToPass: row.PASS_TO_PASS,
      // A parser of our own has no official counterpart.
      official: row.log_parser.startsWith("parse_log_"),
    },
    oracle: { patch: row.patch ?? "", testPatch: row.test_patch ?? "" },
  };
}

/** The column `repository`, or a `repo` that is itself a path, is local; else `repo` is looked up among the clones by name. */
function repositoryOf(row: Row, folder: string): EnvironmentRecipe["repository"] {
  const local = row.repository ?? (isPath(row.repo) ? row.repo : undefined);
  if (local === undefined) return { type: "name", name: row.repo };
  return { type: local.endsWith(".fast-export") ? "fast-export" : "path", path: resolve(folder, local) };
}

/** The official recipe is for scripts that activate the official environment; a script that does not brings nothing it needs. */
function setupOf(row: Row): EnvironmentRecipe["setup"] {
  if (!row.setup && row.version && !isPath(row.repo) && usesConda(row)) {
    return { type: "swebench", repo: row.repo, version: row.version };
  }
  return { type: "commands", commands: row.setup ?? [], network: false };
}

function isPath(repo: string): boolean {
  return isAbsolute(repo) || /^\.{1,2}\//.test(repo);
}

function usesConda(row: Row): boolean {
  return /^conda activate /m.test(row.eval_script);
}

function jsonList(text: string, context: z.RefinementCtx): unknown {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue({ code: "custom", message: NOT_TESTS });
    return z.NEVER;
  }
}

function isEmpty(assets: unknown): boolean {
  if (typeof assets === "string") return ["", "{}", "null", "[]"].includes(assets.trim());
  return assets === undefined || assets === null || Object.keys(assets).length === 0;
}
