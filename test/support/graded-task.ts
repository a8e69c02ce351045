import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Environment } from "../../src/environments/environment.ts";
import { CONFIG_ENV } from "../../src/environments/git.ts";
import type { GraderSpec } from "../../src/grading/spec.ts";

/** A small task, its environment made by hand: one layer with a repository at /testbed, on the host's own system folders. */
export interface GradedTask {
  readonly environment: Environment;
  readonly spec: GraderSpec;
  readonly goldPatch: string;
}

/** The names and a line of its hidden tests, which must not be found in an agent's sandbox. */
export const HIDDEN = ["test_adds_negative_numbers", "HiddenCalculator", "self.assertEqual(add(-2, -3), -5)"];

const CALC = "def add(a, b):\n    return abs(a) + abs(b)\n\n\ndef double(a):\n    return add(a, a)\n";
const VISIBLE = `import unittest
from calc import add, double


class Calculator(unittest.TestCase):
    def test_adds(self):
        self.assertEqual(add(2, 3), 5)

    def test_doubles(self):
        self.assertEqual(double(4), 8)
`;
const TEST_PATCH = `diff --git a/test_hidden.py b/test_hidden.py
new file mode 100644
--- /dev/null
+++ b/test_hidden.py
@@ -0,0 +1,7 @@
+import unittest
+from calc import add
+
+
+class HiddenCalculator(unittest.TestCase):
+    def test_adds_negative_numbers(self):
+        self.assertEqual(add(-2, -3), -5)
`;

export function makeGradedTask(folder: string): GradedTask {
  const layer = join(folder, "layer");
  const testbed = join(layer, "testbed");
  mkdirSync(join(testbed, "docs"), { recursive: true });
  const files = {
    "calc.py": CALC,
    "test_calc.py": VISIBLE,
    ".gitignore": "*.log\n__pycache__/\n",
    "docs/page.md": "# Calc\n",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(testbed, name), text);
  writeFileSync(join(testbed, "table.bin"), Buffer.from(Array.from({ length: 512 }, (_, index) => index % 256)));
  const git = (...args: readonly string[]): string =>
    execFileSync("git", args, { cwd: testbed, env: { ...CONFIG_ENV, PATH: "/usr/bin:/bin" }, encoding: "utf8" }).trim();
  git("init", "--quiet", "--initial-branch=main");
  git("add", "--all");
  git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", "base");
  const seal = git("rev-parse", "HEAD");
  writeFileSync(join(testbed, "calc.py"), CALC.replace("abs(a) + abs(b)", "a + b"));
  const goldPatch = `${git("diff")}\n`;
  git("checkout", "--quiet", ".");
  return { environment: environmentOf(layer, seal), spec: specOf(seal), goldPatch };
}

function environmentOf(layer: string, seal: string): Environment {
  return {
    key: "0".repeat(64),
    rootfs: { type: "host" },
    layers: [layer],
    binds: [],
    workdir: "/testbed",
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: "/root", LANG: "C.UTF-8" },
    baseCommit: seal,
    seal,
    preparedMs: 0,
  };
}

function specOf(seal: string): GraderSpec {
  return {
    expectation: {
      rule: "swebench@5.0.2",
      parser: "unittest",
      evalType: "pass_and_fail",
      failToPass: ["test_hidden.HiddenCalculator.test_adds_negative_numbers"],
      passToPass: ["test_calc.Calculator.test_adds", "test_calc.Calculator.test_doubles"],
    },
    apply: "swebench@5.0.2",
    script: `#!/bin/bash
set -uxo pipefail
cd /testbed
git checkout ${seal} test_calc.py
git apply -v - <<'EOF_OF_TESTS'
${TEST_PATCH}
EOF_OF_TESTS
: '>>>>> Start Test Output'
python3 -m unittest -v
SWEBENCH_TEST_EXIT_CODE=$?
: '>>>>> End Test Output'
echo ">>>>> Test Exit Code: $SWEBENCH_TEST_EXIT_CODE"
`,
    timeoutMs: 60_000,
  };
}
