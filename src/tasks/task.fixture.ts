export const BASE = "0123456789abcdef0123456789abcdef01234567";

/** A row in SWE-bench form that a test changes. */
export function someRow(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    instance_id: "acme__tool-1",
    repo: "acme/tool",
    base_commit: BASE,
    version: "1.0",
    problem_statement: "It is broken.\r\n",
    patch: "the gold patch\n",
    test_patch: "the hidden tests\n",
    FAIL_TO_PASS: '["t.py::a"]',
    PASS_TO_PASS: ["t.py::b"],
    eval_script:
      "#!/bin/bash\nset -uxo pipefail\nconda activate testbed\n: '>>>>> Start Test Output'\npytest\n: '>>>>> End Test Output'\ntrue\n",
    log_parser: "parse_log_pytest",
    eval_type: "pass_and_fail",
    image: "some/image:latest",
    ...changes,
  };
}

/** A row of our own schema that a test changes. */
export function someTask(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id: "own-1",
    source: { dataset: "own" },
    instruction: "Do it.",
    environment: { repository: { type: "path", path: "clones/tool" }, baseCommit: BASE },
    grader: {
      rule: "swebench@5.0.2",
      apply: "swebench@5.0.2",
      parser: "unittest",
      script: "set -x\n: '>>>>> Start Test Output'\npython3 -m unittest -v\n: '>>>>> End Test Output'\n",
      failToPass: ["m.C.a"],
    },
    ...changes,
  };
}
