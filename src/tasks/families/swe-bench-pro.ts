import { join } from "node:path";
import { z } from "zod";
import { check } from "../../problem.ts";
import type { RowOrigin, RowReader } from "../reader.ts";
import { CommitId, Task, TaskId } from "../task.ts";
import { LOCAL_COLUMNS, placeOf, quote, sourceOf } from "./columns.ts";
import { pythonStrings } from "./python-list.ts";
import { patchedFiles } from "./test-patch.ts";

/**
 * Rows of SWE-bench Pro. How tests are run and read is not in the rows but in `run_scripts/` of its public repository, a copy of which is the set's harness. The last line of
 * `before_repo_set_cmd` brings the tests out of the commit that has them, which no sealed repository has: they come from the row's patch.
 */
export const sweBenchPro: RowReader = {
  family: "swe-bench-pro",
  claims: (row) => "instance_id" in row && "before_repo_set_cmd" in row && "selected_test_files_to_run" in row,
  read(row, origin) {
    const read = check(Row, row);
    return read.ok ? check(Task, taskFields(read.value, origin)) : read;
  },
};

const NO_LIST = "expected a list of strings, as JSON or as Python writes it";
const Strings = z.union([z.array(z.string()), z.string()], { error: NO_LIST }).transform((value, context) => {
  const list = typeof value === "string" ? pythonStrings(value) : value;
  if (list !== undefined) return [...list];
  context.addIssue({ code: "custom", message: NO_LIST });
  return z.NEVER;
});

const Row = z.object({
  instance_id: TaskId,
  repo: z.string().regex(/^[\w.-]+\/[\w.-]+$/, "expected owner/name"),
  base_commit: CommitId,
  problem_statement: z.string().min(1),
  requirements: z.string().nullish(),
  interface: z.string().nullish(),
  repo_language: z.string().nullish(),
  fail_to_pass: Strings.pipe(z.array(z.string().min(1)).min(1)),
  pass_to_pass: Strings,
  before_repo_set_cmd: z.string(),
  selected_test_files_to_run: Strings,
  dockerhub_tag: z.string().nullish(),
  patch: z.string().nullish(),
  test_patch: z.string().nullish(),
  ...LOCAL_COLUMNS,
  /** Ours, in place of the harness: what `run_script.sh` and `parser.py` hold. */
  run_script: z.string().min(1).nullish(),
  parser_script: z.string().min(1).nullish(),
});
type Row = z.infer<typeof Row>;

const TIMEOUT_MS = 3_600_000;

function taskFields(row: Row, origin: RowOrigin): z.input<typeof Task> {
  const image = `jefzda/sweap-images:${row.dockerhub_tag || tagOf(row)}`;
  const place = { repo: row.repo, baseCommit: row.base_commit, workdir: "/app", history: "past", image } as const;
  const { environment, needs } = placeOf(row, place, origin);
  const scripts = scriptsOf(row, origin);
  const isolation = {
    capability: "isolation",
    reason: "its tests and their output lie at paths of their own",
  } as const;
  return {
    id: row.instance_id,
    source: sourceOf(origin),
    repo: row.repo,
    language: row.repo_language ?? "",
    instruction: instruction(row),
    environment,
    needs: [...(needs ?? [isolation]), ...("need" in scripts ? [scripts.need] : [])],
    grader: {
      rule: "swe-bench-pro@ca10a60",
      apply: "swe-bench-pro",
      parser: "json_tests",
      script: script(row, needs === undefined || Boolean(row.test_patch)),
      ...("grader" in scripts ? scripts.grader : {}),
      results: ["/workspace/stdout.log", "/workspace/stderr.log"],
      failToPass: row.fail_to_pass,
      passToPass: row.pass_to_pass,
      timeoutMs: TIMEOUT_MS,
      official: true,
    },
    oracle: { patch: row.patch ?? "", testPatch: row.test_patch ?? "" },
  };
}

/** `helper_code/image_uri.py`; one image has a name of its own. */
function tagOf({ instance_id, repo }: Row): string {
  const own = instance_id === "instance_element-hq__element-web-ec0f940ef0e8e3b61078f145f34dc40d1938e6c5-vnan";
  const name = repo.toLowerCase().replace("/", ".");
  const id = instance_id.replaceAll("instance_", "");
  const tag = own
    ? `${name}-${id}`
    : `${name.replace(/^(element-hq\.element)-web$/, "$1")}-${id.replace(/-vnan$/, "")}`;
  return tag.slice(0, 128);
}

/** `create_problem_statement`. */
function instruction({ problem_statement, requirements, interface: interfaces }: Row): string {
  if (!requirements && !interfaces) return problem_statement;
  return `${problem_statement}\n\nRequirements:\n${requirements ?? ""}\n\nNew interfaces introduced:\n${interfaces ?? ""}`;
}

const PARSER = "/reading/parser.py";
const ARGV = ["python3", PARSER, "/reading/in/0", "/reading/in/1", "/reading/out.json"];

function scriptsOf({ instance_id, run_script, parser_script }: Row, { harness = "" }: RowOrigin) {
  const folder = join(harness, "run_scripts", instance_id);
  const file = (path: string, own: string | null | undefined, name: string) =>
    own ? { path, text: own } : { path, from: join(folder, name) };
  if (harness === "" && !(run_script && parser_script)) {
    const reason =
      "rows do not say how tests are run and read: name a copy of SWE-bench Pro's public code as the set's harness";
    return { need: { capability: "test-command", reason } as const };
  }
  return {
    grader: {
      files: [file("/workspace/run_script.sh", run_script, "run_script.sh")],
      reading: { files: [file(PARSER, parser_script, "parser.py")], argv: ARGV },
    },
  };
}

/** `create_entryscript` without its last line: the parser runs elsewhere. */
function script(row: Row, fromPatch: boolean): string {
  const tests = row.selected_test_files_to_run.join(",");
  const bring = row.before_repo_set_cmd.trim().split("\n").at(-1) ?? "";
  return `${[
    "cd /app",
    `git reset --hard ${row.base_commit}`,
    `git checkout ${row.base_commit}`,
    "git apply -v /workspace/patch.diff",
    ...(fromPatch ? testsFromPatch(row) : [bring]),
    `bash /workspace/run_script.sh ${tests} > /workspace/stdout.log 2> /workspace/stderr.log`,
  ].join("\n")}\n`;
}

/** What checking the tests out would do. */
function testsFromPatch({ base_commit, test_patch }: Row): readonly string[] {
  const files = patchedFiles(test_patch ?? "");
  const known = files.flatMap(({ source }) => (source === undefined ? [] : [quote(source)]));
  const added = files.flatMap(({ source, target }) =>
    source === undefined && target !== undefined ? [quote(target)] : [],
  );
  return [
    ...(known.length > 0 ? [`git checkout ${base_commit} -- ${known.join(" ")}`] : []),
    ...(added.length > 0 ? [`rm -rf -- ${added.join(" ")}`] : []),
    `git apply -v - <<'EOF_OF_TESTS'\n${(test_patch ?? "").replace(/\n$/, "")}\nEOF_OF_TESTS`,
  ];
}
