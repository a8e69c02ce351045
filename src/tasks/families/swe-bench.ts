import { z } from "zod";
import { check, type Read } from "../../problem.ts";
import { OFFICIAL_RULES, type OfficialRule } from "../../verdict/official/repositories.ts";
import { readOfficialRow } from "../../verdict/official/row.ts";
import type { Expectation } from "../../verdict/verdict.ts";
import { END_TEST_OUTPUT, officialScript, START_TEST_OUTPUT } from "../eval-script.ts";
import type { RowOrigin, RowReader } from "../reader.ts";
import { CommitId, type EnvironmentRecipe, ParserName, Task, TaskId, TestScript } from "../task.ts";
import { classicScript } from "./classic-script.ts";
import { DIFFICULTY, isPath, LOCAL_COLUMNS, localRepository, SomeTests, sourceOf, Tests } from "./columns.ts";
import { resetAsIn4, usesConda } from "./reset-tests.ts";
import { SWE_GYM_REPOSITORIES } from "./swe-gym-recipes.ts";
import { CLASSIC_REPOSITORIES, swebenchRecipe } from "./swebench-recipes.ts";
import { directives, patchedFiles } from "./test-patch.ts";

/**
 * Rows of SWE-bench, Lite, Verified, Multilingual and Multimodal: with the columns of version 5, or the older ones of the Python repositories, whose script is made here. So is it for release
 * 4.1.0 where it can be: that one made it, and looked at no such column.
 */
export const sweBench: RowReader = {
  family: "swe-bench",
  claims: (row) =>
    "instance_id" in row &&
    !("install_config" in row || "test_cmds" in row || "before_repo_set_cmd" in row) &&
    ("eval_script" in row || ("test_patch" in row && "version" in row && !isOfGym(row))),
  read(row, origin) {
    if ("eval_script" in row && !(origin.rule === "swebench@4.1.0" && check(ClassicRow, row).ok)) {
      const read = check(Row, row);
      return read.ok ? toTask(read.value, origin) : read;
    }
    const read = check(ClassicRow, row);
    return read.ok ? toTask(withScript(read.value), origin) : read;
  },
};

function isOfGym(row: object): boolean {
  return "repo" in row && SWE_GYM_REPOSITORIES.includes(String(row.repo).toLowerCase());
}

/** Columns not named here (hints_text, created_at, environment_setup_commit, ...) have no effect. */
const COMMON = {
  instance_id: TaskId,
  base_commit: CommitId,
  problem_statement: z.string().min(1),
  FAIL_TO_PASS: SomeTests,
  PASS_TO_PASS: Tests,
  patch: z.string().nullish(),
  difficulty: z.string().nullish(),
  language: z.string().nullish(),
  image: z.string().nullish(),
  image_assets: z.unknown().optional(),
  ...LOCAL_COLUMNS,
};

const Row = z.object({
  ...COMMON,
  repo: z.string().regex(/^([\w.-]+\/[\w.-]+|\.{0,2}\/.*)$/, "expected owner/name or a path"),
  eval_script: TestScript,
  log_parser: ParserName,
  eval_type: z.enum(["pass_and_fail", "fail_only"]).default("pass_and_fail"),
  version: z.string().nullish(),
  test_patch: z.string().nullish(),
});
type Row = z.infer<typeof Row>;

const ClassicRow = z.object({
  ...COMMON,
  repo: z
    .string()
    .refine(
      (repo) => CLASSIC_REPOSITORIES.includes(repo),
      "expected eval_script in the row, or a Python repository of SWE-bench",
    ),
  version: z.string(),
  test_patch: z.string().min(1),
});

/** The columns that version 5 added. */
function withScript(row: z.infer<typeof ClassicRow>): Row {
  const recipe = swebenchRecipe(row.repo, row.version);
  return {
    ...row,
    eval_script: classicScript({
      shell: "-uxo pipefail",
      baseCommit: row.base_commit,
      testPatch: row.test_patch,
      resetFiles: patchedFiles(row.test_patch).flatMap(({ source }) => source ?? []),
      evalCommands: recipe?.evalCommands ?? [],
      install: recipe?.install ?? "",
      testCommand: [recipe?.testCommand ?? "", ...directives(row.repo, row.test_patch)].join(" "),
      diff: "git -c core.fileMode=false diff",
      markers: [START_TEST_OUTPUT, END_TEST_OUTPUT],
    }),
    log_parser: recipe?.parser ?? "",
    eval_type: "pass_and_fail",
  };
}

function toTask(row: Row, origin: RowOrigin): Read<Task> {
  const { rule = OFFICIAL_RULES[0] } = origin;
  const official = readOfficialRow(row, rule);
  return official.ok ? check(Task, taskFields(row, origin, official.value.expectation)) : official;
}

function taskFields(row: Row, origin: RowOrigin, { parser, evalType, instance }: Expectation): z.input<typeof Task> {
  const { rule = OFFICIAL_RULES[0] } = origin;
  const needs = needsOf(row);
  return {
    id: row.instance_id,
    source: sourceOf(origin),
    repo: row.repo,
    language: row.language ?? (usesConda(row.eval_script) ? "python" : ""),
    difficulty: DIFFICULTY.get(row.difficulty ?? "") ?? "",
    instruction: row.problem_statement,
    environment: {
      ...(needs.some(({ capability }) => capability === "images")
        ? { rootfs: { type: "image", ref: row.image ?? "" }, repository: { type: "image" } }
        : { repository: localRepository(row.repository ?? undefined, row.repo, origin), setup: setupOf(row) }),
      baseCommit: row.base_commit,
      requires: row.requires ?? [],
      history: "past",
    },
    needs,
    grader: {
      ...{ rule, apply: rule, parser, evalType, instance },
      script: officialScript(scriptFor(row, rule), rule),
      failToPass: row.FAIL_TO_PASS,
      passToPass: row.PASS_TO_PASS,
      // A parser of our own has no official counterpart.
      official: parser.startsWith("parse_log_"),
    },
    oracle: { patch: row.patch ?? "", testPatch: row.test_patch ?? "" },
  };
}

function scriptFor({ eval_script, base_commit, test_patch }: Row, rule: OfficialRule): string {
  if (rule !== "swebench@4.1.0") return eval_script;
  return resetAsIn4(eval_script, { baseCommit: base_commit, testPatch: test_patch ?? "" });
}

type Needs = NonNullable<z.input<typeof Task>["needs"]>;

/** Without its image a row is played by the official recipe of a Python repository, or by our columns. */
function needsOf(row: Row): Needs {
  const local = row.repository || row.setup || isPath(row.repo) || usesConda(row.eval_script) || !row.image;
  const reason = "the official run fetches files for the tests that a text patch cannot carry";
  return [
    ...(local ? [] : [{ capability: "images" as const, reason: `its environment is the image ${row.image}` }]),
    ...(hasTestAssets(row.image_assets) ? [{ capability: "test-assets" as const, reason }] : []),
  ];
}

/** The official recipe is for scripts that activate the official environment; a script that does not brings nothing it needs. */
function setupOf(row: Row): z.input<typeof EnvironmentRecipe>["setup"] {
  if (!row.setup && row.version && !isPath(row.repo) && usesConda(row.eval_script)) {
    return { type: "swebench", repo: row.repo, version: row.version };
  }
  return { type: "commands", commands: row.setup ?? [], network: false };
}

/** Images of the issue are no matter for the tests. */
function hasTestAssets(assets: unknown): boolean {
  if (typeof assets === "string") {
    try {
      return hasTestAssets(JSON.parse(assets));
    } catch {
      return assets.trim() !== "";
    }
  }
  if (typeof assets !== "object" || assets === null) return false;
  return Object.entries(assets).some(([of, files]) => of !== "problem_statement" && !isNothing(files));
}

function isNothing(value: unknown): boolean {
  return value === null || value === undefined || (Array.isArray(value) && value.length === 0);
}
