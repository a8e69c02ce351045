import { z } from "zod";
import { check } from "../../problem.ts";
import type { RowOrigin, RowReader } from "../reader.ts";
import { CommitId, Task, TaskId } from "../task.ts";
import { classicScript } from "./classic-script.ts";
import { LOCAL_COLUMNS, placeOf, SomeTests, sourceOf, Tests } from "./columns.ts";
import { SWE_GYM_REPOSITORIES, sweGymRecipe } from "./swe-gym-recipes.ts";
import { directives } from "./test-patch.ts";

/** Rows of SWE-Gym: those of SWE-bench without a script, of repositories of its own. */
export const sweGym: RowReader = {
  family: "swe-gym",
  claims: (row) =>
    "instance_id" in row &&
    "test_patch" in row &&
    !("eval_script" in row || "install_config" in row || "test_cmds" in row) &&
    "repo" in row &&
    SWE_GYM_REPOSITORIES.includes(String(row.repo).toLowerCase()),
  read(row, origin) {
    const read = check(Row, row);
    return read.ok ? check(Task, taskFields(read.value, origin)) : read;
  },
};

const Row = z.object({
  instance_id: TaskId,
  repo: z.string().regex(/^[\w.-]+\/[\w.-]+$/, "expected owner/name"),
  base_commit: CommitId,
  version: z.string(),
  problem_statement: z.string().min(1),
  test_patch: z.string().min(1),
  FAIL_TO_PASS: SomeTests,
  PASS_TO_PASS: Tests,
  patch: z.string().nullish(),
  ...LOCAL_COLUMNS,
  /** Ours: in place of the command of the repository's constants. */
  test_cmd: z.string().min(1).nullish(),
});
type Row = z.infer<typeof Row>;

function taskFields(row: Row, origin: RowOrigin): z.input<typeof Task> {
  const recipe = sweGymRecipe(row.repo, row.version);
  const { environment, needs = [] } = placeOf(
    row,
    {
      ...{ repo: row.repo, baseCommit: row.base_commit, workdir: "/testbed", history: "past" },
      image: imageOf(row.instance_id),
    },
    origin,
  );
  const reason = `the constants of SWE-Gym do not know ${row.repo}; the column test_cmd may say how its tests are run`;
  return {
    id: row.instance_id,
    source: sourceOf(origin),
    repo: row.repo,
    language: "python",
    instruction: row.problem_statement,
    environment,
    needs: [...needs, ...(recipe || row.test_cmd ? [] : [{ capability: "test-command" as const, reason }])],
    grader: {
      rule: "swe-gym@16dd480",
      apply: "swebench@2.1",
      parser: recipe?.parser ?? "parse_log_pytest",
      script: classicScript({
        shell: "-xo pipefail",
        baseCommit: row.base_commit,
        testPatch: row.test_patch,
        resetFiles: [...row.test_patch.matchAll(/--- a\/([^\n]*)/g)].map((match) => match[1] ?? ""),
        evalCommands: recipe?.evalCommands ?? [],
        install: recipe?.install ?? "",
        testCommand: testCommand(row, recipe?.testCommand),
        diff: "git diff",
        markers: undefined,
      }),
      failToPass: row.FAIL_TO_PASS,
      passToPass: row.PASS_TO_PASS,
      official: recipe !== undefined && !row.test_cmd,
    },
    oracle: { patch: row.patch ?? "", testPatch: row.test_patch },
  };
}

/** `make_test_command`: the tests of mypy are cases in data files, chosen by name. */
function testCommand({ repo, test_patch, test_cmd }: Row, command: string | undefined): string {
  const own = test_cmd ?? command ?? "false";
  if (repo !== "python/mypy" || test_cmd) return [own, ...directives(repo, test_patch)].join(" ");
  const cases = [...test_patch.matchAll(/\[case ([^\]]+)\]/g)].map((match) => match[1] ?? "");
  return `${own} "${cases.join(" or ")}"`;
}

/** As its images are published: in lower case, two underscores as `_s_`. */
function imageOf(id: string): string {
  return `xingyaoww/sweb.eval.x86_64.${id.toLowerCase().replace("__", "_s_")}:latest`;
}
