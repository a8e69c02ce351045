import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";

/** Calls one function of the script with a JSON argument; it imports nothing but the standard library. */
function call(name: string, argument: unknown): unknown {
  const folder = new URL(".", import.meta.url).pathname;
  const program = `import json, sys; sys.path.insert(0, sys.argv[1]); import read_spec; print(json.dumps(getattr(read_spec, sys.argv[2])(json.loads(sys.argv[3]))))`;
  const outcome = spawnSync("python3", ["-B", "-c", program, folder, name, JSON.stringify(argument)], {
    encoding: "utf8",
  });
  if (outcome.status !== 0) throw new Error(outcome.stderr);
  return JSON.parse(outcome.stdout);
}

describe("requirements of the constants, spelt for conda", () => {
  test("are spelt for pip", () => {
    expect(call("as_pip", ["numpy=1.19", "scipy==1.5.2", "cython", "pandas<2.0.0", "pytest=7.4.0=py39_0"])).toEqual([
      "numpy==1.19.*",
      "scipy==1.5.2",
      "cython",
      "pandas<2.0.0",
      "pytest==7.4.0.*",
    ]);
  });

  test("lose channels, options, the interpreter and its pip", () => {
    expect(call("as_pip", ["-c", "conda-forge", "python=3.9", "pip", "-y", "attrs"])).toEqual(["attrs"]);
  });

  test("of an environment file are its dependencies and those of its pip part", () => {
    const text = `name: test
channels:
  - conda-forge
dependencies:
  - python=3.10  # the interpreter
  # a comment
  - numpy>=1.19
  - "scipy<1.9"
  - pip:
      - pytest-cov
      - sphinx==4.0
prefix: /opt/x
`;
    expect(call("from_environment_yml", text)).toEqual(["numpy>=1.19", "scipy<1.9", "pytest-cov", "sphinx==4.0"]);
  });
});
