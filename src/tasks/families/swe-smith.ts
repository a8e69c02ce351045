import { z } from "zod";
import { check } from "../../problem.ts";
import { END_TEST_OUTPUT, START_TEST_OUTPUT } from "../eval-script.ts";
import type { RowOrigin, RowReader } from "../reader.ts";
import { Task, TaskId } from "../task.ts";
import { LOCAL_COLUMNS, placeOf, SomeTests, sourceOf, Tests } from "./columns.ts";
import { type Profile, profileOf } from "./swe-smith-profiles.ts";

/**
 * Rows of SWE-smith. The agent starts at the tip of the branch that has the instance's name, where the hidden tests are removed; the verifier at the commit before, which has the bug and all tests.
 * No history: it holds the fix. The `patch` of a row is the bug, so that the fix is its reverse, and no gold patch is known.
 */
export const sweSmith: RowReader = {
  family: "swe-smith",
  claims: (row) =>
    "instance_id" in row &&
    "image_name" in row &&
    !("install_config" in row) &&
    (!("base_commit" in row) || isCopy(row)),
  read(row, origin) {
    const read = check(Row, row);
    return read.ok ? check(Task, taskFields(read.value, origin)) : read;
  },
};

/** Its tasks are made in copies of repositories below one owner. */
function isCopy(row: object): boolean {
  return "repo" in row && typeof row.repo === "string" && row.repo.startsWith("swesmith/");
}

const Row = z.object({
  instance_id: TaskId,
  repo: z.string().regex(/^[\w.-]+\/[\w.-]+$/, "expected owner/name"),
  image_name: z.string().min(1),
  /** Written for a part of the rows only. */
  problem_statement: z.string().nullish(),
  FAIL_TO_PASS: SomeTests,
  PASS_TO_PASS: Tests,
  /** The bug. */
  patch: z.string().nullish(),
  ...LOCAL_COLUMNS,
  /** Ours: in place of the command of the repository's profile. */
  test_cmd: z.string().min(1).nullish(),
});
type Row = z.infer<typeof Row>;

const TIMEOUT_MS = 90_000;
const NO_INSTRUCTION = "the row has no issue text (problem_statement), so nothing says what is to be done";

function taskFields(row: Row, origin: RowOrigin): z.input<typeof Task> {
  const branch = `refs/heads/${row.instance_id}`;
  const place = { repo: row.repo, workdir: "/testbed", history: "none", image: row.image_name } as const;
  const { environment, needs = [] } = placeOf(row, { ...place, baseCommit: branch }, origin);
  const verifier = placeOf(row, { ...place, baseCommit: `${branch}~1` }, origin).environment;
  const tests = { failToPass: row.FAIL_TO_PASS, passToPass: row.PASS_TO_PASS };
  const profile = profileOf(row.instance_id, tests);
  const command = row.test_cmd ?? profile?.command;
  return {
    id: row.instance_id,
    source: sourceOf(origin),
    repo: row.repo,
    language: "python",
    instruction: row.problem_statement || NO_INSTRUCTION,
    environment,
    needs: [
      ...needs,
      ...(command === undefined ? [noCommand(row)] : []),
      ...(row.problem_statement ? [] : [{ capability: "instruction", reason: NO_INSTRUCTION } as const]),
    ],
    grader: {
      rule: "swe-smith@3a7c6bb",
      apply: "swebench@4.1.0",
      parser: profile?.parser ?? "pytest_verbose",
      script: script(command ?? "false"),
      ...tests,
      environment: verifier,
      restore: { tracked: filesOf(profile) },
      timeoutMs: TIMEOUT_MS,
      official: row.test_cmd === undefined || row.test_cmd === null,
    },
    oracle: { testPatch: "" },
  };
}

function noCommand({ instance_id, repo }: Row) {
  const reason = `no profile of ${repo} says how the tests of ${instance_id} are run; the column test_cmd may`;
  return { capability: "test-command", reason } as const;
}

/** Of all expected tests, those files that may be paths. */
function filesOf(profile: Profile | undefined): string[] {
  return [...new Set(profile?.files ?? [])].filter(
    (path) => path !== "" && !path.startsWith("/") && !/(^|\/)\.\.(\/|$)/.test(path),
  );
}

/** `run_patch_in_container`. */
function script(command: string): string {
  const lines = [
    "#!/bin/bash",
    "set -uxo pipefail",
    "cd /testbed",
    `: '${START_TEST_OUTPUT}'`,
    command,
    `: '${END_TEST_OUTPUT}'`,
  ];
  return `${lines.join("\n")}\n`;
}
