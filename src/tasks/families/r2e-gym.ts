import { z } from "zod";
import { check } from "../../problem.ts";
import type { RowOrigin, RowReader } from "../reader.ts";
import { CommitId, Task } from "../task.ts";
import { LOCAL_COLUMNS, orJson, placeOf, sourceOf } from "./columns.ts";

/**
 * Rows of R2E-Gym. Upstream grades in the agent's own container, where `/root/r2e_tests` and `run_tests.sh` lie; here the submission is made again in a fresh sandbox, the only one that has
 * them, and whatever it holds under their names goes.
 */
export const r2eGym: RowReader = {
  family: "r2e-gym",
  claims: (row) => "expected_output_json" in row || ("parsed_commit_content" in row && "docker_image" in row),
  read(row, origin) {
    const read = check(Row, row);
    return read.ok ? check(Task, taskFields(read.value, origin)) : read;
  },
};

const ParsedCommit = z.object({ old_commit_hash: CommitId, new_commit_hash: z.string() });
const Execution = z.object({ test_file_names: z.array(z.string()), test_file_codes: z.array(z.string()) });

const Row = z
  .object({
    repo_name: z.string().regex(/^[\w.-]+$/, "expected the name of a repository"),
    docker_image: z
      .string()
      .min(1)
      .refine(
        (image) => !image.includes("swebench"),
        "expected an image of R2E-Gym's own: rows of SWE-bench are read from SWE-bench",
      ),
    commit_hash: z.string().regex(/^[0-9a-f]{7,40}$/, "expected a commit id"),
    problem_statement: z.string().min(1),
    parsed_commit_content: orJson(ParsedCommit),
    execution_result_content: orJson(Execution.nullish()),
    expected_output_json: orJson(z.record(z.string(), z.string())),
    ...LOCAL_COLUMNS,
    /** Ours: what `run_tests.sh` of the image holds. */
    run_tests: z.string().min(1).nullish(),
  })
  .refine(({ setup, repository }) => !setup || Boolean(repository), {
    error: "expected a path, for a row with setup names no owner of its repository",
    path: ["repository"],
  })
  .refine(({ expected_output_json }) => Object.keys(expected_output_json).length > 0, {
    error: "expected at least one test",
    path: ["expected_output_json"],
  });
type Row = z.infer<typeof Row>;

const TIMEOUT_MS = 300_000;
/** What its data set was made with, for all repositories but those whose tests bring a runner of their own. */
const PYTEST =
  "PYTHONWARNINGS='ignore::UserWarning,ignore::SyntaxWarning' .venv/bin/python -W ignore -m pytest -rA r2e_tests";

function taskFields(row: Row, origin: RowOrigin): z.input<typeof Task> {
  const { environment, needs, verifier } = placeOf(
    row,
    {
      repo: row.repo_name,
      baseCommit: row.parsed_commit_content.old_commit_hash,
      workdir: "/testbed",
      history: "none",
      image: row.docker_image,
      imageSetup: LINKS,
      hide: ["/r2e_tests", "/testbed/r2e_tests", "/testbed/run_tests.sh"],
    },
    origin,
  );
  const env = verifier === undefined ? {} : { env: { PATH } };
  return {
    id: `${row.repo_name}__${row.commit_hash}`,
    source: sourceOf(origin),
    repo: row.repo_name,
    language: "python",
    instruction: /\[ISSUE\]([\s\S]*)\[\/ISSUE\]/.exec(row.problem_statement)?.[1] ?? row.problem_statement,
    environment: { ...environment, ...env },
    needs: needs ?? [{ capability: "isolation", reason: "its tests lie at paths of their own" }],
    grader: {
      rule: "r2e-gym@69bc953",
      apply: "plain",
      parser: "pytest_summary",
      script: SCRIPT,
      expected: Object.entries(row.expected_output_json),
      ...(verifier ? { environment: { ...verifier, ...env }, before: MOVE_TESTS } : { files: localFiles(row) }),
      timeoutMs: TIMEOUT_MS,
      official: true,
    },
  };
}

/** `setup_env` of `agenthub/runtime/docker.py`. */
const LINKS = [
  "ln -s /testbed/.venv /root/.venv",
  "mkdir -p /root/.local/bin",
  "for name in python python3; do ln -sf /testbed/.venv/bin/python /root/.local/bin/$name; done",
  "find /testbed/.venv/bin -type f -executable -exec ln -sf {} /root/.local/bin/ \\;",
];
const PATH =
  "/root/.venv/bin:/root/.local/bin:/root/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** In the image they are where a submission could have files of the same names. */
const MOVE_TESTS = `#!/bin/bash
set -e
mv run_tests.sh /root/run_tests.sh
mv /r2e_tests /root/r2e_tests
`;

/** What the image has at those places, from the row. */
function localFiles({ execution_result_content: result, run_tests }: Row) {
  const tests = (result?.test_file_names ?? []).map((name, index) => ({
    path: `/root/r2e_tests/${name.replaceAll("/", "_")}`,
    text: result?.test_file_codes[index] ?? "",
  }));
  return [...tests, { path: "/root/run_tests.sh", text: `${run_tests ?? PYTEST}\n` }];
}

const SCRIPT = `#!/bin/bash
rm -rf r2e_tests run_tests.sh
ln -s /root/r2e_tests r2e_tests
bash /root/run_tests.sh
`;
