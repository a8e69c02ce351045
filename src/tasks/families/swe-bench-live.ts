import { z } from "zod";
import { check } from "../../problem.ts";
import type { RowOrigin, RowReader } from "../reader.ts";
import { CommitId, Task, TaskId } from "../task.ts";
import { LOCAL_COLUMNS, placeOf, SomeTests, sourceOf, Tests } from "./columns.ts";
import { sourceCall } from "./reading.ts";
import { patchedFiles } from "./test-patch.ts";

/**
 * Rows of SWE-bench-Live. The tests are applied first, then the submission, hunk by hunk. Ours: afterwards the test files are put back and the tests applied again, so that a submission cannot
 * have changed them.
 */
export const sweBenchLive: RowReader = {
  family: "swe-bench-live",
  claims: (row) => "instance_id" in row && "test_cmds" in row,
  read(row, origin) {
    const read = check(Row, row);
    return read.ok ? check(Task, taskFields(read.value, origin)) : read;
  },
};

const Commands = z.array(z.string()).nullish();

const Row = z
  .object({
    instance_id: TaskId,
    repo: z.string().regex(/^[\w.-]+\/[\w.-]+$/, "expected owner/name"),
    base_commit: CommitId,
    problem_statement: z.string().min(1),
    test_patch: z.string().min(1),
    FAIL_TO_PASS: SomeTests,
    PASS_TO_PASS: Tests,
    test_cmds: z.array(z.string()).min(1),
    rebuild_cmds: Commands,
    print_cmds: Commands,
    /** `pytest`, or a program with a function `parser`. */
    log_parser: z.string().min(1).nullish(),
    parser: z.string().min(1).nullish(),
    docker_image: z.string().nullish(),
    language: z.string().nullish(),
    patch: z.string().nullish(),
    platform: z.string().nullish(),
    ...LOCAL_COLUMNS,
  })
  .refine(({ log_parser, parser }) => Boolean(log_parser ?? parser), {
    error: "expected pytest, or a program with a function called parser",
    path: ["log_parser"],
  });
type Row = z.infer<typeof Row>;

const TIMEOUT_MS = 9_000_000;

function taskFields(row: Row, origin: RowOrigin): z.input<typeof Task> {
  const { environment, needs = [] } = placeOf(
    row,
    {
      ...{ repo: row.repo, baseCommit: row.base_commit, workdir: "/testbed", history: "past" },
      image: row.docker_image || imageOf(row.instance_id),
    },
    origin,
  );
  const files = patchedFiles(row.test_patch);
  const parser = (row.log_parser ?? row.parser ?? "").trim();
  const windows = { capability: "windows", reason: "its environment is a Windows image" } as const;
  return {
    id: row.instance_id,
    source: sourceOf(origin),
    repo: row.repo,
    language: row.language ?? "",
    instruction: row.problem_statement,
    environment,
    needs: [...needs, ...(row.platform === "windows" ? [windows] : [])],
    grader: {
      rule: "swe-bench-live@70ec57e",
      apply: "swe-bench-live",
      ...(parser.toLowerCase() === "pytest"
        ? { parser: "pytest" }
        : { parser: "json_map", reading: sourceCall(parser) }),
      before: `#!/bin/bash\nset -e\n${applied(row.test_patch)}`,
      restore: {
        tracked: files.flatMap(({ source }) => source ?? []),
        added: files.flatMap(({ source, target }) => (source === undefined && target !== undefined ? [target] : [])),
      },
      script: script(row),
      failToPass: row.FAIL_TO_PASS,
      passToPass: row.PASS_TO_PASS,
      timeoutMs: TIMEOUT_MS,
      official: true,
    },
    oracle: { patch: row.patch ?? "", testPatch: row.test_patch },
  };
}

function applied(testPatch: string): string {
  return `git apply --reject --whitespace=nowarn - <<'EOF_OF_TESTS'\n${testPatch.replace(/\n$/, "")}\nEOF_OF_TESTS\n`;
}

/** `evaluate_instance`: one shell for all commands; what the last of them prints is all that is read. */
function script({ test_patch, rebuild_cmds, test_cmds, print_cmds }: Row): string {
  const joined = (commands: readonly string[] | null | undefined): string => (commands ?? []).join(" ; ");
  const tests = joined(test_cmds);
  const prints = joined(print_cmds).trim() !== "";
  const old = `cat > run_test.sh <<'CC_PROMPT'\n${tests}\nCC_PROMPT\nbash run_test.sh > testlog.out 2>&1`;
  return `${[
    "#!/bin/bash",
    "exec 3>&1 > /dev/null 2>&1",
    applied(test_patch),
    joined(rebuild_cmds),
    prints ? tests : old,
    "exec >&3 2>&1",
    prints ? joined(print_cmds) : "cat testlog.out",
  ].join("\n")}\n`;
}

/** `get_default_image_name`. */
function imageOf(id: string): string {
  return `starryzhang/sweb.eval.x86_64.${id.replace("__", "_1776_").toLowerCase()}`;
}
