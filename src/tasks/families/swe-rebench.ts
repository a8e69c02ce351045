import { z } from "zod";
import { check } from "../../problem.ts";
import { END_TEST_OUTPUT, START_TEST_OUTPUT } from "../eval-script.ts";
import type { RowOrigin, RowReader } from "../reader.ts";
import { CommitId, Task, TaskId } from "../task.ts";
import { classicScript } from "./classic-script.ts";
import { LOCAL_COLUMNS, orJson, placeOf, SomeTests, sourceOf, Tests } from "./columns.ts";
import { isVersionTwo } from "./swe-rebench-v2.ts";
import { changedTests, patchedFiles } from "./test-patch.ts";

/** Rows of SWE-rebench: those of SWE-bench, each with the constants of its environment and tests. */
export const sweRebench: RowReader = {
  family: "swe-rebench",
  claims: (row) => "instance_id" in row && "install_config" in row && !isVersionTwo(row.install_config),
  read(row, origin) {
    const read = check(Row, row);
    return read.ok ? check(Task, taskFields(read.value, origin)) : read;
  },
};

const PARSER = z.enum(["parse_log_pytest", "parse_log_pytest_options", "parse_log_pytest_v2"]);

const Row = z.object({
  instance_id: TaskId,
  repo: z.string().regex(/^[\w.-]+\/[\w.-]+$/, "expected owner/name"),
  base_commit: CommitId,
  problem_statement: z.string().min(1),
  test_patch: z.string().min(1),
  FAIL_TO_PASS: SomeTests,
  PASS_TO_PASS: Tests,
  install_config: orJson(z.object({ log_parser: PARSER, test_cmd: z.string().min(1), install: z.string().nullish() })),
  docker_image: z.string().nullish(),
  image_name: z.string().nullish(),
  patch: z.string().nullish(),
  ...LOCAL_COLUMNS,
});
type Row = z.infer<typeof Row>;

/** `_clean_install_config`. */
const LOCALE = "LANG=C.UTF-8 LC_ALL=C.UTF-8 ";

function taskFields(row: Row, origin: RowOrigin): z.input<typeof Task> {
  const { log_parser, test_cmd, install } = row.install_config;
  const image = row.docker_image || row.image_name || imageOf(row.instance_id);
  const place = { repo: row.repo, baseCommit: row.base_commit, workdir: "/testbed", history: "past", image } as const;
  return {
    id: row.instance_id,
    source: sourceOf(origin),
    repo: row.repo,
    language: "python",
    instruction: row.problem_statement,
    ...withoutVerifier(placeOf(row, place, origin)),
    grader: {
      rule: "swe-rebench@39316f7",
      apply: "swebench@4.1.0",
      parser: log_parser,
      script: classicScript({
        shell: "-uxo pipefail",
        baseCommit: row.base_commit,
        testPatch: row.test_patch,
        resetFiles: patchedFiles(row.test_patch).flatMap(({ source }) => source ?? []),
        evalCommands: [],
        install: install ? `${LOCALE}${install}` : "",
        testCommand: [`${LOCALE}${test_cmd}`, ...changedTests(row.test_patch)].join(" "),
        diff: "git -c core.fileMode=false diff",
        markers: [START_TEST_OUTPUT, END_TEST_OUTPUT],
      }),
      failToPass: row.FAIL_TO_PASS,
      passToPass: row.PASS_TO_PASS,
      official: true,
    },
    oracle: { patch: row.patch ?? "", testPatch: row.test_patch },
  };
}

function withoutVerifier({ environment, needs = [] }: ReturnType<typeof placeOf>) {
  return { environment, needs };
}

function imageOf(id: string): string {
  return `swerebench/sweb.eval.x86_64.${id.toLowerCase().replace("__", "_1776_")}:latest`;
}
