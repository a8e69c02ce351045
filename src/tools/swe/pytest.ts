import { PYTEST, PYTEST_ENDS } from "../../seeds/stages.ts";
import type { Tool } from "../tool.ts";
import { FIND_PYTHON, runStage } from "./stage.ts";

/** `swe_pytest` of the AutoGen plan: the tests that the policy can see. What they say is no verdict. */
export const swePytest: Tool = {
  schema: {
    type: "function",
    function: {
      name: "swe_pytest",
      description:
        "Runs the project's tests by pytest, and says at the end whether they passed. At most 5 s: narrow a long suite down.",
      parameters: {
        type: "object",
        properties: {
          pytest_k: { type: "string", description: "An expression for `pytest -k`; default: all tests." },
          path: {
            type: "string",
            description: "A file, a folder or a test (file::name); default: all that pytest finds.",
          },
        },
        required: [],
      },
    },
  },
  run: ({ pytest_k, path }, call) =>
    runStage(
      {
        name: "tests",
        script: RUN,
        args: [
          ...PYTEST,
          ...(pytest_k === undefined ? [] : ["-k", String(pytest_k)]),
          ...(path === undefined ? [] : [operand(String(path))]),
        ],
        ending: (exitCode) => PYTEST_ENDS.get(exitCode) ?? "tests_error",
      },
      call,
    ),
};

/** pytest takes an option for what begins like one, even behind `--`. */
function operand(path: string): string {
  return path.startsWith("-") ? `./${path}` : path;
}

/** A Python without pytest ends with 1, as tests that failed do. */
const RUN = `
${FIND_PYTHON}
"$python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("pytest") is None)' || {
  echo "pytest is not installed" >&2
  exit 3
}
exec "$python" "$@"
`;
