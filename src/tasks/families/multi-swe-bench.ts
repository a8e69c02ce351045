import { z } from "zod";
import { check } from "../../problem.ts";
import type { RowOrigin, RowReader } from "../reader.ts";
import { CommitId, Task, TaskId } from "../task.ts";
import { LOCAL_COLUMNS, orJson, placeOf, sourceOf } from "./columns.ts";
import { multiSweCall, sourceCall } from "./reading.ts";

/**
 * Rows of Multi-SWE-bench. Its images hold the tests and the scripts that run them, out of the agent's sight; the logs are read by the class of each repository in its public code, a copy of which,
 * with what it imports, is the set's harness.
 */
export const multiSweBench: RowReader = {
  family: "multi-swe-bench",
  claims: (row) => "org" in row && "number" in row && "fix_patch" in row,
  read(row, origin) {
    const read = check(Row, row);
    if (!read.ok || failToPass(read.value).length > 0)
      return read.ok ? check(Task, taskFields(read.value, origin)) : read;
    return { ok: false, problems: ["f2p_tests: expected a test in f2p_tests, s2p_tests or n2p_tests, got none"] };
  },
};

const Names = z.array(z.string());
const Stage = orJson(z.object({ passed_tests: Names, failed_tests: Names, skipped_tests: Names }));
const Columns = z.object({ name: z.array(z.string()) });
/** By name, or in columns as Parquet has it. */
const Tests = orJson(
  z.union([
    Columns.transform(({ name }) => name),
    z.record(z.string(), z.unknown()).transform((tests) => Object.keys(tests)),
  ]),
)
  .nullish()
  .transform((names) => names ?? []);

const Issue = z.object({ title: z.string(), body: z.string().nullish() });
const IssueColumns = z.object({ title: z.array(z.string()), body: z.array(z.string().nullish()) });
const Issues = orJson(
  z.union([
    z.array(Issue),
    IssueColumns.transform(({ title, body }) => title.map((text, index) => ({ title: text, body: body[index] }))),
  ]),
).pipe(z.array(Issue).min(1));

const Row = z.object({
  org: z.string().regex(/^[\w.-]+$/, "expected the name of an owner"),
  repo: z.string().regex(/^[\w.-]+$/, "expected the name of a repository"),
  number: z.int().min(1),
  base: orJson(z.object({ sha: CommitId })),
  resolved_issues: Issues,
  fix_patch: z.string(),
  test_patch: z.string().min(1),
  p2p_tests: Tests,
  f2p_tests: Tests,
  s2p_tests: Tests,
  n2p_tests: Tests,
  run_result: Stage,
  test_patch_result: Stage,
  lang: z.string().nullish(),
  tag: z.string().nullish(),
  number_interval: z.string().nullish(),
  instance_id: TaskId.nullish(),
  ...LOCAL_COLUMNS,
  /** Ours: what runs the tests where there is no image with scripts. */
  test_cmd: z.string().min(1).nullish(),
  /** Ours, in place of the harness: a program with a function `parser`, from a log to a map of names to PASS, FAIL or SKIP. */
  log_parser: z.string().min(1).nullish(),
});
type Row = z.infer<typeof Row>;

function failToPass({ f2p_tests, s2p_tests, n2p_tests }: Row): string[] {
  return [...new Set([...f2p_tests, ...s2p_tests, ...n2p_tests])];
}

/** What the images have beside the repository. */
const HIDE = [
  "test.patch",
  "fix.patch",
  "run.sh",
  "test-run.sh",
  "fix-run.sh",
  "check_git_changes.sh",
  "prepare.sh",
].map((name) => `/home/${name}`);

function taskFields(row: Row, origin: RowOrigin): z.input<typeof Task> {
  const { org, repo, number } = row;
  const { environment, needs, verifier } = placeOf(
    row,
    {
      ...{ repo: `${org}/${repo}`, baseCommit: row.base.sha, workdir: `/home/${repo}`, history: "past", hide: HIDE },
      image: `mswebench/${org}_m_${repo}:pr-${number}`.toLowerCase(),
    },
    origin,
  );
  const isolation = { capability: "isolation", reason: "its tests lie at paths of their own" } as const;
  const parser = parserOf(row, origin);
  const command = commandOf(row, verifier === undefined);
  return {
    id: row.instance_id ?? `${org}__${repo}-${number}`,
    source: sourceOf(origin),
    repo: `${org}/${repo}`,
    language: row.lang ?? "",
    instruction: row.resolved_issues.map(({ title, body }) => `${title}\n\n${body ?? ""}`.trim()).join("\n\n"),
    environment,
    needs: [
      ...(needs ?? [isolation]),
      ...("need" in parser ? [parser.need] : []),
      ...("need" in command ? [command.need] : []),
    ],
    grader: {
      rule: "multi-swe-bench@24f493f",
      apply: "multi-swe-bench",
      parser: "json_lists",
      ...("reading" in parser ? { reading: parser.reading } : {}),
      script: "script" in command ? command.script : "false\n",
      ...(verifier ? { environment: verifier } : { files: [{ path: "/home/test.patch", text: row.test_patch }] }),
      failToPass: failToPass(row),
      passToPass: row.p2p_tests,
      stages: { run: stageOf(row.run_result), test: stageOf(row.test_patch_result) },
      official: true,
    },
    oracle: { patch: row.fix_patch, testPatch: row.test_patch },
  };
}

function stageOf({ passed_tests, failed_tests, skipped_tests }: Row["run_result"]) {
  return { passed: passed_tests, failed: failed_tests, skipped: skipped_tests };
}

function parserOf({ log_parser, org, repo, number, tag, number_interval }: Row, { harness = "" }: RowOrigin) {
  if (log_parser) return { reading: sourceCall(log_parser, "lists") };
  if (harness !== "")
    return {
      reading: multiSweCall(harness, { org, repo, number, tag: tag ?? "", number_interval: number_interval ?? "" }),
    };
  const reason = `its logs are read by the class of ${org}/${repo} in Multi-SWE-bench's public code: name a copy of that as the set's harness`;
  return { need: { capability: "log-parser", reason } as const };
}

function commandOf({ repo, test_cmd }: Row, local: boolean) {
  if (!local) return { script: "bash /home/fix-run.sh\n" };
  if (test_cmd) {
    return {
      script: `#!/bin/bash\nset -e\n\ncd /home/${repo}\ngit apply /home/test.patch /home/fix.patch\n${test_cmd}\n`,
    };
  }
  const reason = "without an image the column test_cmd must say how its tests are run";
  return { need: { capability: "test-command", reason } as const };
}
