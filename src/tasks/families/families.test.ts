import { describe, expect, it } from "vitest";
import { readRow } from "../readers.ts";
import { BASE } from "../task.fixture.ts";
import { ORIGIN, problemsOf, ROWS, TEST_PATCH, taskOf } from "./rows.fixture.ts";

type Name = keyof typeof ROWS;
const read = (
  name: Name,
  changes: Record<string, unknown> = {},
  origin: Partial<typeof ORIGIN & { harness: string }> = {},
) => taskOf(readRow({ ...ROWS[name], ...changes }, { ...ORIGIN, ...origin }, name));
const problems = (name: Name, changes: Record<string, unknown>) =>
  problemsOf(readRow({ ...ROWS[name], ...changes }, ORIGIN, name));
const needs = (name: Name, changes: Record<string, unknown> = {}, origin = {}) =>
  read(name, changes, origin).needs.map(({ capability }) => capability);
const linesOf = (script: string) => script.split("\n");
const LOCAL = { repository: "tool.fast-export", setup: ["make"], requires: ["cc"] };

describe("every family", () => {
  it.each(Object.keys(ROWS) as Name[])(
    "keeps what it says of the image and the workdir of %s, and can do without",
    (name) => {
      const { environment, needs } = read(name);
      expect(environment).toMatchObject({ rootfs: { type: "image" }, repository: { type: "image" } });
      expect(needs[0]?.capability).toBe("images");
      const local = read(name, LOCAL);
      expect(local.environment).toMatchObject({
        ...{ rootfs: { type: "host" }, repository: { type: "fast-export", path: "/rows/tool.fast-export" } },
        ...{ workdir: environment.workdir, history: environment.history, requires: ["cc"] },
        setup: { type: "commands", commands: ["make"], network: false },
      });
      expect(local.needs.map(({ capability }) => capability)).not.toContain("images");
      if (name !== "r2e-gym") expect(read(name, { setup: [] }).environment.repository.type).toBe("name");
    },
  );
});

describe("a row of SWE-smith", () => {
  it("starts without the hidden tests and without history, and is verified one commit before, where they are", () => {
    const { environment, grader, oracle } = read("swe-smith");
    expect(environment).toMatchObject({
      baseCommit: "refs/heads/acme__tool.1a2b3c4d.func_pm__x1",
      history: "none",
      workdir: "/testbed",
    });
    expect(grader.environment).toMatchObject({
      baseCommit: "refs/heads/acme__tool.1a2b3c4d.func_pm__x1~1",
      history: "none",
    });
    expect(grader).toMatchObject({ apply: "swebench@4.1.0", timeoutMs: 90_000, official: true });
    expect(grader.restore).toEqual({ tracked: ["tests/test_a.py", "src/doc.py"], added: [] });
    expect(oracle.patch).toBe("");
  });

  it("is run and read as its profile says", () => {
    const command = (changes: Record<string, unknown>) => linesOf(read("swe-smith", changes).grader.script)[4];
    const pytest =
      "source /opt/miniconda3/bin/activate; conda activate testbed; pytest --disable-warnings --color=no --tb=no --verbose";
    expect(linesOf(read("swe-smith").grader.script)).toEqual([
      ...["#!/bin/bash", "set -uxo pipefail", "cd /testbed", ": '>>>>> Start Test Output'"],
      ...[pytest, ": '>>>>> End Test Output'", ""],
    ]);
    expect(command({ instance_id: "dask__dask.5f61e423.x" })).toBe(
      `${pytest} tests/test_a.py src/doc.py tests/test_a.py`,
    );
    expect(read("swe-smith", { instance_id: "paramiko__paramiko.23f92003.x" }).grader.parser).toBe("pytest_summary");
    const tornado = {
      instance_id: "tornadoweb__tornado.d5ac65c1.x",
      FAIL_TO_PASS: ["test_a (tornado.test.web_test.T)"],
      PASS_TO_PASS: [],
    };
    expect(read("swe-smith", tornado).grader).toMatchObject({
      parser: "tornado",
      restore: { tracked: ["tornado/test/web_test.py"] },
    });
  });

  it("needs a command where no profile has one", () => {
    expect(needs("swe-smith", { FAIL_TO_PASS: ["TestFormatters/flyway"] })).toEqual(["images", "test-command"]);
    expect(needs("swe-smith", { instance_id: "python__mypy.e93f06ce.x" })).toEqual(["images", "test-command"]);
    expect(needs("swe-smith", { FAIL_TO_PASS: ["TestFormatters/flyway"], test_cmd: "go test" })).toEqual(["images"]);
    expect(needs("swe-smith", { problem_statement: "" })).toEqual(["images", "instruction"]);
    expect(needs("swe-smith", { problem_statement: null })).toEqual(["images", "instruction"]);
  });
});

describe("a row of R2E-Gym", () => {
  it("wants exactly its map, and shows the policy the issue alone", () => {
    const { grader, instruction, environment, id } = read("r2e-gym");
    expect(grader.expected).toEqual([
      ["T.a", "PASSED"],
      ["b", "FAILED"],
    ]);
    expect(grader.timeoutMs).toBe(300_000);
    expect(instruction).toBe("\nIt is broken.\n");
    expect(environment.baseCommit).toBe(BASE);
    expect(id).toBe("tool__abcdef0123456789abcdef0123456789abcdef01");
  });

  it("hides the image's tests from the agent and leaves them to the verifier", () => {
    const { environment, grader } = read("r2e-gym");
    const commands = (setup: typeof environment.setup) => (setup.type === "commands" ? setup.commands.join("\n") : "");
    expect(commands(environment.setup)).toContain("rm -rf -- /r2e_tests /testbed/r2e_tests /testbed/run_tests.sh");
    expect(grader.environment && commands(grader.environment.setup)).not.toContain("r2e_tests");
    expect(grader.before).toContain("mv /r2e_tests /root/r2e_tests");
  });

  it("has the tests from the row where there is no image", () => {
    const { grader, needs } = read("r2e-gym", LOCAL);
    expect(grader.environment).toBeUndefined();
    expect(grader.files).toEqual([
      { path: "/root/r2e_tests/test_1.py", text: "assert 1\n" },
      {
        path: "/root/run_tests.sh",
        text: expect.stringContaining(".venv/bin/python -W ignore -m pytest -rA r2e_tests"),
      },
    ]);
    expect(needs.map(({ capability }) => capability)).toEqual(["isolation"]);
  });

  it("is refused without a test to expect, without a repository to set up, or when it is a row of SWE-bench", () => {
    expect(problems("r2e-gym", { setup: [] })).toEqual([
      "repository: expected a path, for a row with setup names no owner of its repository, got nothing",
    ]);
    expect(problems("r2e-gym", { expected_output_json: "{}" })).toEqual([
      'expected_output_json: expected at least one test, got "{}"',
    ]);
    expect(problems("r2e-gym", { expected_output_json: "[1" })).toEqual([
      'expected_output_json: expected an object, or JSON of one, got "[1"',
    ]);
    expect(problems("r2e-gym", { docker_image: "slimshetty/swebench-verified:x" })[0]).toMatch(
      /^docker_image: expected an image of R2E-Gym's own/,
    );
  });
});

describe("a row of SWE-Gym", () => {
  it("is run by the script of SWE-bench 2.1, without markers", () => {
    const { grader, environment } = read("swe-gym");
    expect(environment.rootfs).toMatchObject({ ref: "xingyaoww/sweb.eval.x86_64.getmoto_s_moto-1:latest" });
    expect(grader).toMatchObject({
      apply: "swebench@2.1",
      parser: "parse_log_pytest",
      restore: { tracked: [], added: [] },
    });
    const lines = linesOf(grader.script);
    expect(lines.slice(0, 2)).toEqual(["#!/bin/bash", "set -xo pipefail"]);
    expect(lines).toEqual(
      expect.arrayContaining([`git diff ${BASE}`, "make init", `git checkout ${BASE} tests/test_a.py`]),
    );
    expect(lines).toContain("pytest -n0 -rA tests/test_a.py tests/test_new.py");
    expect(grader.script).not.toContain(">>>>>");
  });

  it("chooses the cases of mypy by name, and reads pydantic in a way of its own", () => {
    const test_patch =
      "diff --git a/t/a.test b/t/a.test\n--- a/t/a.test\n+++ b/t/a.test\n@@ -1 +1,2 @@\n [case testOne]\n+[case testTwo]\n";
    const mypy = read("swe-gym", { repo: "python/mypy", version: "1.8", test_patch });
    expect(mypy.grader.script).toContain('\npytest -rA -k "testOne or testTwo"\n');
    expect(read("swe-gym", { repo: "pydantic/pydantic", version: "2.0" }).grader.parser).toBe("parse_log_pydantic");
    expect(needs("swe-gym", { repo: "acme/tool" })).toEqual(["images", "test-command"]);
  });
});

describe("a row of SWE-rebench", () => {
  it("is run by the script of its fork, with the constants of the row", () => {
    const { grader } = read("swe-rebench");
    expect(grader).toMatchObject({ apply: "swebench@4.1.0", parser: "parse_log_pytest" });
    const locale = "LANG=C.UTF-8 LC_ALL=C.UTF-8 ";
    expect(linesOf(grader.script)).toEqual(
      expect.arrayContaining([
        ...[
          `git -c core.fileMode=false diff ${BASE}`,
          `${locale}pip install -e .`,
          `git checkout ${BASE} tests/test_a.py`,
        ],
        `${locale}pytest -rA tests/test_a.py tests/test_new.py`,
      ]),
    );
    expect(
      read("swe-rebench", { install_config: JSON.stringify(ROWS["swe-rebench"].install_config) }).grader.script,
    ).toBe(grader.script);
  });

  it("is refused with a parser that its harness does not have", () => {
    expect(problems("swe-rebench", { install_config: { log_parser: "parse_log_cobol", test_cmd: "x" } })).toEqual([
      'install_config.log_parser: expected "parse_log_pytest" or "parse_log_pytest_options" or "parse_log_pytest_v2", got "parse_log_cobol"',
    ]);
  });
});

describe("a row of SWE-rebench V2", () => {
  it("applies the tests after the submission and puts their files back before", () => {
    const { grader, environment } = read("swe-rebench-v2");
    expect(environment.workdir).toBe("/tool");
    expect(grader).toMatchObject({
      apply: "swe-rebench-v2",
      restore: { tracked: ["tests/test_a.py"], added: ["tests/test_new.py", "tests/data.json"] },
    });
    const lines = linesOf(grader.script);
    expect(lines.slice(0, 3)).toEqual([
      "#!/bin/bash",
      "set -e",
      "git apply -v --3way --recount --ignore-space-change --whitespace=nowarn - <<'EOF_114329324912'",
    ]);
    expect(lines.slice(-3)).toEqual(["EOF_114329324912", "go test -v ./...", ""]);
  });

  it("is read by the harness where its parser is not one of ours, and needs one", () => {
    const install_config = { ...ROWS["swe-rebench-v2"].install_config, log_parser: "parse_log_dart" };
    expect(needs("swe-rebench-v2", { install_config })).toEqual(["images", "log-parser"]);
    const { grader, needs: all } = read("swe-rebench-v2", { install_config }, { harness: "/harness" });
    expect(all).toHaveLength(1);
    expect(grader.reading?.files[0]).toEqual({ path: "/reading/code", from: "/harness" });
    expect(grader.reading?.argv).toContain("parse_log_dart");
  });
});

describe("a row of SWE-bench-Live", () => {
  it("applies the tests first, and once more when their files were put back", () => {
    const { grader, environment } = read("swe-bench-live");
    expect(environment.rootfs).toMatchObject({ ref: "starryzhang/sweb.eval.x86_64.acme_1776_tool-3" });
    expect(grader).toMatchObject({
      apply: "swe-bench-live",
      restore: { tracked: ["tests/test_a.py"], added: ["tests/test_new.py", "tests/data.json"] },
    });
    expect(grader.before).toContain(TEST_PATCH);
    expect(grader.script).toContain(TEST_PATCH);
  });

  it("prints nothing but what is read", () => {
    const tail = (length: number, changes = {}) =>
      linesOf(read("swe-bench-live", changes).grader.script).slice(-length);
    expect(tail(7)).toEqual([
      "cat > run_test.sh <<'CC_PROMPT'",
      "pytest -rA",
      "CC_PROMPT",
      "bash run_test.sh > testlog.out 2>&1",
      "exec >&3 2>&1",
      "cat testlog.out",
      "",
    ]);
    const many = { rebuild_cmds: ["make", "make x"], test_cmds: ["a", "b"], print_cmds: ["cat x"] };
    expect(tail(5, many)).toEqual(["make ; make x", "a ; b", "exec >&3 2>&1", "cat x", ""]);
  });

  it("brings its own parser, and may be for Windows", () => {
    const { grader } = read("swe-bench-live", { log_parser: "def parser(log):\n    return {}\n" });
    expect(grader).toMatchObject({
      parser: "json_map",
      reading: { argv: expect.arrayContaining(["row_parser", "parser"]) },
    });
    expect(needs("swe-bench-live", { platform: "windows" })).toEqual(["images", "windows"]);
    expect(problems("swe-bench-live", { log_parser: null })).toEqual([
      "log_parser: expected pytest, or a program with a function called parser, got null",
    ]);
  });
});

describe("a row of SWE-bench Pro", () => {
  it.each([
    ["acme/Tool", "instance_acme__Tool-1a2b-vnan", "acme.tool-acme__Tool-1a2b"],
    ["acme/Tool", `instance_acme__Tool-${"1".repeat(115)}-v1`, `acme.tool-acme__Tool-${"1".repeat(107)}`],
    [
      "element-hq/element-web",
      "instance_element-hq__element-web-1a-vnan",
      "element-hq.element-element-hq__element-web-1a",
    ],
    [
      "element-hq/element-web",
      "instance_element-hq__element-web-ec0f940ef0e8e3b61078f145f34dc40d1938e6c5-vnan",
      "element-hq.element-web-element-hq__element-web-ec0f940ef0e8e3b61078f145f34dc40d1938e6c5-vnan",
    ],
  ])("of %s with the id %s has an image whatever its columns say", (repo, instance_id, tag) => {
    const row = read("swe-bench-pro", { repo, instance_id: instance_id.slice(0, 128), dockerhub_tag: null });
    expect(row.environment.rootfs).toMatchObject({ ref: `jefzda/sweap-images:${tag}` });
  });

  it("is run by its entry script; its tests come out of its patch, or without one by the last line of its commands", () => {
    const fromPatch = linesOf(read("swe-bench-pro", {}, { harness: "/pro" }).grader.script);
    expect(fromPatch).toContain("git apply -v - <<'EOF_OF_TESTS'");
    expect(fromPatch).not.toContain("git checkout 1a2b -- test/a.js");
    const { grader, instruction, environment } = read("swe-bench-pro", { test_patch: null }, { harness: "/pro" });
    expect(environment).toMatchObject({ workdir: "/app", rootfs: { ref: "jefzda/sweap-images:acme.tool-1a2b" } });
    expect(instruction).toBe("It is broken.\n\nRequirements:\n- Be quick.\n\nNew interfaces introduced:\nNone.");
    expect(grader).toMatchObject({
      apply: "swe-bench-pro",
      failToPass: ["test/a.js | works", "test/a.js | it's"],
      passToPass: [],
    });
    expect(linesOf(grader.script)).toEqual([
      ...[
        "cd /app",
        `git reset --hard ${BASE}`,
        `git checkout ${BASE}`,
        "git apply -v /workspace/patch.diff",
        "git checkout 1a2b -- test/a.js",
      ],
      ...["bash /workspace/run_script.sh test/a.js,test/b.js > /workspace/stdout.log 2> /workspace/stderr.log", ""],
    ]);
    const folder = "/pro/run_scripts/instance_acme__tool-1a2b-vnan";
    expect(grader.files).toEqual([{ path: "/workspace/run_script.sh", from: `${folder}/run_script.sh` }]);
    expect(grader.reading?.files).toEqual([{ path: "/reading/parser.py", from: `${folder}/parser.py` }]);
  });

  it("needs the harness, or our columns in its place", () => {
    expect(needs("swe-bench-pro")).toEqual(["images", "test-command"]);
    expect(needs("swe-bench-pro", { run_script: "x", parser_script: "y" })).toEqual(["images"]);
    const local = read("swe-bench-pro", { ...LOCAL, run_script: "x", parser_script: "y" });
    expect(local.needs.map(({ capability }) => capability)).toEqual(["isolation"]);
    expect(local.grader.script).toContain(
      `git checkout ${BASE} -- tests/test_a.py\nrm -rf -- tests/test_new.py tests/data.json\ngit apply -v -`,
    );
  });

  it("is refused with a list that is none", () => {
    expect(problems("swe-bench-pro", { fail_to_pass: "test/a.js" })).toEqual([
      'fail_to_pass: expected a list of strings, as JSON or as Python writes it, got "test/a.js"',
    ]);
    expect(problems("swe-bench-pro", { fail_to_pass: "[]" })[0]).toMatch(/^fail_to_pass: expected/);
  });
});

describe("a row of Multi-SWE-bench", () => {
  it("keeps the stages before, and shows the policy the issues and not the request that fixed them", () => {
    const { grader, instruction, environment, id } = read("multi-swe-bench", {}, { harness: "/msb" });
    expect(id).toBe("Acme__Tool-7");
    expect(environment).toMatchObject({ workdir: "/home/Tool", rootfs: { ref: "mswebench/acme_m_tool:pr-7" } });
    expect(instruction).toBe("Wrong sum\n\nIt is broken.");
    expect(grader).toMatchObject({
      ...{ failToPass: ["a"], passToPass: ["b"], script: "bash /home/fix-run.sh\n", apply: "multi-swe-bench" },
      stages: { run: { passed: ["b"], failed: [] }, test: { passed: ["b"], failed: ["a"] } },
    });
    expect(JSON.stringify(environment.setup)).toContain("/home/test.patch");
    expect(grader.environment && JSON.stringify(grader.environment.setup)).not.toContain("/home/test.patch");
  });

  it("may be in columns, as Parquet has it", () => {
    const columns = { name: ["a", "c"], fix: ["PASS", "PASS"], run: ["NONE", "NONE"], test: ["FAIL", "FAIL"] };
    const issues = { number: [6], title: ["Wrong sum"], body: [null] };
    const row = read("multi-swe-bench", { f2p_tests: columns, resolved_issues: issues });
    expect(row.grader.failToPass).toEqual(["a", "c"]);
    expect(row.instruction).toBe("Wrong sum");
  });

  it("needs something that reads its logs, and without an image something that runs its tests", () => {
    expect(needs("multi-swe-bench")).toEqual(["images", "log-parser"]);
    expect(needs("multi-swe-bench", LOCAL, { harness: "/msb" })).toEqual(["isolation", "test-command"]);
    expect(needs("multi-swe-bench", { ...LOCAL, test_cmd: "x", log_parser: "def parser(log): ..." })).toEqual([
      "isolation",
    ]);
    expect(problems("multi-swe-bench", { f2p_tests: {} })).toEqual([
      "f2p_tests: expected a test in f2p_tests, s2p_tests or n2p_tests, got none",
    ]);
  });
});
