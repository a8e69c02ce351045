import { z } from "zod";
import { check } from "../../problem.ts";
import { RULES } from "../../verdict/rules.ts";
import type { RowOrigin, RowReader } from "../reader.ts";
import { CommitId, Task, TaskId } from "../task.ts";
import { LOCAL_COLUMNS, orJson, placeOf, SomeTests, sourceOf, Tests } from "./columns.ts";
import { CODE, callOf, type ReadingProgram } from "./reading.ts";
import { patchedFiles } from "./test-patch.ts";

const RULE = "swe-rebench-v2@c71902a";

/** Rows of SWE-rebench V2, in many languages. Ours: the test files are put back before the tests are applied, so that a submission that edits them does not keep them away. */
export const sweRebenchV2: RowReader = {
  family: "swe-rebench-v2",
  claims: (row) => "instance_id" in row && "install_config" in row && isVersionTwo(row.install_config),
  read(row, origin) {
    const read = check(Row, row);
    return read.ok ? check(Task, taskFields(read.value, origin)) : read;
  },
};

/** The first version has one command in a text, and no base image. */
export function isVersionTwo(config: unknown): boolean {
  const read = orJson(z.record(z.string(), z.unknown())).safeParse(config);
  return read.success && ("base_image_name" in read.data || Array.isArray(read.data["test_cmd"]));
}

const Commands = z.union([
  z
    .string()
    .min(1)
    .transform((command) => [command]),
  z.array(z.string()).min(1),
]);

const Row = z.object({
  instance_id: TaskId,
  repo: z.string().regex(/^[\w.-]+\/[\w.-]+$/, "expected owner/name"),
  base_commit: CommitId,
  problem_statement: z.string().min(1),
  test_patch: z.string().min(1),
  FAIL_TO_PASS: SomeTests,
  PASS_TO_PASS: Tests,
  install_config: orJson(
    z.object({ log_parser: z.string().regex(/^\w+$/, "expected the name of a log parser"), test_cmd: Commands }),
  ),
  image_name: z.string().nullish(),
  language: z.string().nullish(),
  patch: z.string().nullish(),
  ...LOCAL_COLUMNS,
});
type Row = z.infer<typeof Row>;

function taskFields(row: Row, origin: RowOrigin): z.input<typeof Task> {
  const name = row.repo.split("/")[1] ?? "";
  const { environment, needs = [] } = placeOf(
    row,
    {
      ...{ repo: row.repo, baseCommit: row.base_commit, workdir: `/${name}`, history: "past" },
      image: row.image_name || row.instance_id,
    },
    origin,
  );
  const files = patchedFiles(row.test_patch);
  const reading = parserOf(row, origin);
  return {
    id: row.instance_id,
    source: sourceOf(origin),
    repo: row.repo,
    language: row.language ?? "",
    instruction: row.problem_statement,
    environment: { ...environment, env: { _JAVA_OPTIONS: "-Djava.net.preferIPv6Addresses=false" } },
    needs: [...needs, ...("need" in reading ? [reading.need] : [])],
    grader: {
      rule: RULE,
      apply: "swe-rebench-v2",
      ...("grader" in reading ? reading.grader : { parser: "json_map" }),
      script: script(row),
      failToPass: row.FAIL_TO_PASS,
      passToPass: row.PASS_TO_PASS,
      restore: {
        tracked: files.flatMap(({ source }) => source ?? []),
        added: files.flatMap(({ source, target }) => (source === undefined && target !== undefined ? [target] : [])),
      },
      official: true,
    },
    oracle: { patch: row.patch ?? "", testPatch: row.test_patch },
  };
}

/** One of ours that does the same, else the harness's own. */
function parserOf({ install_config: { log_parser } }: Row, { harness = "" }: RowOrigin) {
  if (RULES[RULE].parsers.has(log_parser)) return { grader: { parser: log_parser } };
  if (harness !== "") return { grader: { parser: "json_map", reading: harnessReading(harness, log_parser) } };
  const reason = `its logs are read by ${log_parser} of SWE-rebench V2's public code: name a copy of that as the set's harness`;
  return { need: { capability: "log-parser", reason } as const };
}

function harnessReading(harness: string, name: string): ReadingProgram {
  const files = [{ path: CODE, from: harness }];
  return callOf({ files, imports: "lib.agent.log_parsers", name, table: "NAME_TO_PARSER" });
}

/** `run_in_container`, after the submission is applied. */
function script({ test_patch, install_config: { test_cmd } }: Row): string {
  const end = "EOF_114329324912";
  const apply = "git apply -v --3way --recount --ignore-space-change --whitespace=nowarn";
  return `${[
    "#!/bin/bash",
    "set -e",
    `${apply} - <<'${end}'\n${test_patch.replace(/\n$/, "")}\n${end}`,
    ...test_cmd.filter((command) => command.trim() !== ""),
  ].join("\n")}\n`;
}
