import type { Read } from "../../problem.ts";
import { BASE } from "../task.fixture.ts";
import type { Task } from "../task.ts";

/** A row of each family with the columns that it publishes, for tests to change. */

export const ORIGIN = { folder: "/rows", dataset: "some", revision: "", split: "test" };

export const TEST_PATCH = `diff --git a/tests/test_a.py b/tests/test_a.py
index 1..2 100644
--- a/tests/test_a.py
+++ b/tests/test_a.py
@@ -1 +1,2 @@
 import a
+assert a.b() == 1
diff --git a/tests/test_new.py b/tests/test_new.py
new file mode 100644
--- /dev/null
+++ b/tests/test_new.py
@@ -0,0 +1 @@
+assert True
diff --git a/tests/data.json b/tests/data.json
new file mode 100644
--- /dev/null
+++ b/tests/data.json
@@ -0,0 +1 @@
+{}
`;

const ISSUE = { problem_statement: "It is broken." };
const F2P = ["tests/test_a.py::a"];
const P2P = ["tests/test_a.py::b", "src/doc.py::c"];
const LISTS = { FAIL_TO_PASS: F2P, PASS_TO_PASS: P2P };
const PATCHES = { patch: "the gold patch\n", test_patch: TEST_PATCH };
const COMMON = { ...ISSUE, ...PATCHES, ...LISTS, base_commit: BASE, hints_text: "", created_at: "2025-01-01" };
const STAGE = {
  passed_count: 1,
  failed_count: 1,
  skipped_count: 0,
  passed_tests: ["b"],
  failed_tests: ["a"],
  skipped_tests: [],
};

export const ROWS = {
  "swe-smith": {
    ...{ instance_id: "acme__tool.1a2b3c4d.func_pm__x1", repo: "swesmith/acme__tool.1a2b3c4d", patch: "the bug\n" },
    ...{
      image_name: "jyangballin/swesmith.x86_64.acme_1776_tool.1a2b3c4d",
      created_at: "2025-01-01",
      ...ISSUE,
      ...LISTS,
    },
  },
  "r2e-gym": {
    ...{
      repo_name: "tool",
      docker_image: "namanjain12/tool_final:abc",
      commit_hash: "abcdef0123456789abcdef0123456789abcdef01",
    },
    ...{ problem_statement: "Do.\n[ISSUE]\nIt is broken.\n[/ISSUE]", modified_files: ["a.py"], num_non_test_files: 1 },
    parsed_commit_content: JSON.stringify({ file_diffs: [], old_commit_hash: BASE, new_commit_hash: "abcdef0" }),
    execution_result_content: JSON.stringify({
      test_file_names: ["test_1.py"],
      test_file_codes: ["assert 1\n"],
      setup_res_code: 0,
    }),
    expected_output_json: JSON.stringify({ "T.a": "PASSED", b: "FAILED" }),
  },
  "swe-gym": { ...COMMON, instance_id: "getmoto__moto-1", repo: "getmoto/moto", version: "5.0" },
  "swe-rebench": {
    ...{ ...COMMON, instance_id: "acme__tool-1", repo: "acme/tool", version: "1.0", environment_setup_commit: BASE },
    ...{
      FAIL_TO_PASS: F2P,
      docker_image: "swerebench/sweb.eval.x86_64.acme_1776_tool-1",
      requirements: "a==1",
      environment: "name: x",
    },
    install_config: {
      log_parser: "parse_log_pytest",
      test_cmd: "pytest -rA",
      install: "pip install -e .",
      python: "3.9",
      packages: null,
    },
  },
  "swe-rebench-v2": {
    ...{ ...COMMON, instance_id: "acme__tool-2", repo: "acme/tool", language: "go", interface: "", pr_description: "" },
    ...{ image_name: "docker.io/swerebenchv2/acme-tool:2", created_at: 1609298073000 },
    install_config: {
      base_image_name: "go_1.22.12",
      docker_specs: null,
      install: ["make"],
      log_parser: "parse_log_gotest",
      test_cmd: ["go test -v ./..."],
    },
  },
  "swe-bench-live": {
    ...{
      ...COMMON,
      instance_id: "acme__tool-3",
      repo: "acme/tool",
      pull_number: "3",
      issue_numbers: ["1"],
      all_hints_text: "",
    },
    ...{ test_cmds: ["pytest -rA"], log_parser: "pytest", difficulty: { files: 1, hunks: 1, lines: 1 } },
  },
  "swe-bench-pro": {
    ...{
      ...ISSUE,
      ...PATCHES,
      base_commit: BASE,
      repo: "acme/tool",
      instance_id: "instance_acme__tool-1a2b-vnan",
      repo_language: "js",
    },
    ...{
      requirements: "- Be quick.",
      interface: "None.",
      issue_specificity: "['x']",
      issue_categories: "['y']",
      dockerhub_tag: "acme.tool-1a2b",
    },
    ...{
      fail_to_pass: "['test/a.js | works', \"test/a.js | it's\"]",
      pass_to_pass: "[]",
      selected_test_files_to_run: "['test/a.js', 'test/b.js']",
    },
    before_repo_set_cmd: `git reset --hard ${BASE}\ngit clean -fd \ngit checkout ${BASE} \ngit checkout 1a2b -- test/a.js`,
  },
  "multi-swe-bench": {
    ...{
      org: "Acme",
      repo: "Tool",
      number: 7,
      state: "closed",
      title: "Sum up",
      body: "As it should",
      lang: "java",
      fix_patch: "the gold patch\n",
      test_patch: TEST_PATCH,
    },
    ...{
      base: { label: "acme:main", ref: "main", sha: BASE },
      resolved_issues: [{ number: 6, title: "Wrong sum", body: "It is broken." }],
    },
    ...{
      fixed_tests: {},
      p2p_tests: { b: { run: "PASS", test: "PASS", fix: "PASS" } },
      f2p_tests: { a: { run: "NONE", test: "FAIL", fix: "PASS" } },
      s2p_tests: {},
      n2p_tests: {},
    },
    ...{
      run_result: { ...STAGE, failed_tests: [], failed_count: 0 },
      test_patch_result: STAGE,
      fix_patch_result: STAGE,
    },
  },
} as const satisfies Record<string, Readonly<Record<string, unknown>>>;

/** The value, for tests that expect no problem. */
export function taskOf(read: Read<Task>): Task {
  if (!read.ok) throw new Error(read.problems.join("\n"));
  return read.value;
}

export function problemsOf(read: Read<Task>): readonly string[] {
  return read.ok ? [] : read.problems;
}
