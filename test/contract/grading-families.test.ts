import { execFileSync } from "node:child_process";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Environment } from "../../src/environments/environment.ts";
import { CONFIG_ENV } from "../../src/environments/git.ts";
import type { Grade } from "../../src/grading/grade.ts";
import type { GraderSpec } from "../../src/grading/spec.ts";
import type { Expectation } from "../../src/verdict/verdict.ts";
import { canGrade, type GradingPlace, openGradingPlace } from "../support/grading-place.ts";

const runnable = await canGrade("grading as each family does");
const signal = new AbortController().signal;
const TASK_FAULT = { validity: "TASK", outcome: "NO_VERDICT" };
const VALID_ZERO = { validity: "VALID", reward: 0 };
const VALID_ONE = { validity: "VALID", reward: 1 };

describe.skipIf(!runnable)("grading as each family does", () => {
  let place: GradingPlace;

  beforeAll(async () => {
    place = await openGradingPlace(["harness"]);
    await mkdir(join(place.root, "harness/inner"), { recursive: true });
    await writeFile(join(place.root, "harness/inner/parsers.py"), PARSERS);
  });
  afterAll(() => place?.close());
  afterEach(async () => {
    await place.warm.settled();
    expect(await place.backend.list()).toEqual([]);
  });

  function grade(spec: GraderSpec, patch: string, verifier?: () => Promise<Environment>): Promise<Grade> {
    const submission = { patch: Buffer.from(patch), leftOut: [] };
    const { environment } = place.task;
    return place.grader.gradeSubmission({ environment, spec, submission, ...(verifier && { verifier }), signal });
  }

  /** What a command makes of the repository, as a patch. */
  function patchOf(command: string): string {
    const script =
      'rm -rf copy; cp -a layer/testbed copy; cd copy; eval "$1"; git add -A -f; git diff --cached --binary HEAD';
    const env = { ...CONFIG_ENV, PATH: "/usr/local/bin:/usr/bin:/bin" };
    return execFileSync("bash", ["-euc", script, "bash", command], {
      cwd: place.root,
      env,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    });
  }

  describe("the files of tests, put back after the submission", () => {
    const restore = { tracked: ["test_calc.py", "not/there.py"], added: ["test_hidden.py", "docs/new"] };
    const asTheyWere = [
      'test "$(git hash-object test_calc.py)" = "$(git rev-parse HEAD:test_calc.py)"',
      "! test -L test_calc.py && ! test -e test_hidden.py && ! test -L test_hidden.py && ! test -e docs/new && ! test -e not",
      "test -e docs/page.md && test -e kept.txt && test -e /etc/passwd && echo PASSED found",
    ].join(" && ");

    it.each([
      "echo 'assert True' > test_calc.py; echo x > test_hidden.py; mkdir docs/new; echo x > docs/new/deep.py",
      "rm test_calc.py; mkdir test_hidden.py; echo x > test_hidden.py/deep; ln -s /etc docs/new",
      "ln -sf /etc/passwd test_calc.py; ln -s /etc/passwd test_hidden.py; echo x > docs/new",
      "rm test_calc.py; mkdir test_calc.py; echo x > test_calc.py/deep; chmod 755 docs/page.md",
    ])("are as they were after %s", async (command) => {
      const patch = patchOf(`${command}; echo x > kept.txt`);
      expect(await grade(finding(asTheyWere, { restore }), patch)).toMatchObject(VALID_ONE);
      expect(await grade(finding(asTheyWere), patch)).toMatchObject(VALID_ZERO);
    });
  });

  describe("what comes before the submission", () => {
    const fix = () => patchOf("sed -i 's/abs(a)/a/' calc.py");

    it("has the task's files and runs its script on the untouched repository", async () => {
      const files = [{ path: "/hidden/name", text: "secret" }];
      const before = 'test -z "$(git status --porcelain)" && cp /hidden/name /seen';
      const script = 'test "$(cat /seen)" = secret && ! git diff --quiet && echo PASSED found';
      expect(await grade(finding(script, { files, before }), fix())).toMatchObject(VALID_ONE);
    });

    it("has a folder of the task with all that is in it, and nothing that its links lead to elsewhere", async () => {
      const from = join(place.root, "tests");
      await mkdir(join(from, "deep"), { recursive: true });
      await writeFile(join(from, "test.sh"), "", { mode: 0o755 });
      await writeFile(join(from, "deep/data"), "data");
      await symlink("deep/data", join(from, "link"));
      const seen =
        "test -x /tests/test.sh && ! test -x /tests/deep/data && cmp /tests/link /tests/deep/data && echo PASSED found";
      const spec = finding(seen, { files: [{ path: "/tests", from }] });
      expect(await grade(spec, fix())).toMatchObject(VALID_ONE);
      for (const [name, target] of [
        ["out", "/etc/hostname"],
        ["loop", "."],
        ["broken", "nothing"],
      ] as const) {
        await symlink(target, join(from, name));
        const reason = `expected files and folders, got ${join(from, name)}`;
        expect(await grade(spec, fix())).toMatchObject({ ...TASK_FAULT, reason });
        await rm(join(from, name));
      }
    });

    it("is the task's fault when it fails, and so are files that this host lacks", async () => {
      const failing = await grade(finding("echo PASSED found", { before: "echo why; exit 4" }), fix());
      expect(failing).toMatchObject({ ...TASK_FAULT, reason: expect.stringMatching(/exit code 4\nwhy/) });
      const files = [{ path: "/hidden", from: join(place.root, "nothing") }];
      expect(await grade(finding("echo PASSED found", { files }), fix())).toMatchObject({
        ...TASK_FAULT,
        reason: expect.stringContaining(join(place.root, "nothing")),
      });
    });
  });

  describe("a way to apply", () => {
    it("leaves out what is binary where its harness does, and leaves the rest to the script", async () => {
      const patch = patchOf("printf '\\0\\1' > table.bin; sed -i 's/abs(a)/a/' calc.py");
      const script =
        'git apply /workspace/patch.diff; git status --porcelain; [ "$(git status --porcelain)" = " M calc.py" ] && echo PASSED found';
      expect(await grade(finding(script, { apply: "swe-bench-pro" }), patch)).toMatchObject(VALID_ONE);
      expect(await grade(finding(script, { apply: "swe-bench-pro" }), "not a patch")).toMatchObject(VALID_ZERO);
    });

    it("keeps what applies of a patch that does not as a whole, where its harness does", async () => {
      const patch = patchOf("sed -i 's/abs(a)/a/' calc.py; sed -i 's/Calc/Calculator/' docs/page.md");
      const half = patch.replace("-# Calc", "-# Something else");
      const script = "grep -q 'a + abs' calc.py && echo PASSED found";
      expect(await grade(finding(script, { apply: "swe-bench-live" }), half)).toMatchObject(VALID_ONE);
      expect(await grade(finding(script, { apply: "swe-rebench-v2" }), half)).toMatchObject({
        outcome: "PATCH_DOES_NOT_APPLY",
        reward: 0,
      });
    });
  });

  describe("a program that reads the logs", () => {
    const fix = () => patchOf("sed -i 's/abs(a)/a/' calc.py");
    const reading = (program: string, argv?: readonly string[]): Partial<GraderSpec> => {
      const files = [{ path: "/reading/run.py", text: program }];
      return {
        expectation: { ...EXPECTATION, parser: "json_map" },
        reading: { files, argv: argv ?? ["python3", "/reading/run.py"] },
      };
    };
    const writing = (text: string) => reading(`open("/reading/out.json", "w").write('${text}')`);

    it("is believed in what it writes, and gets the log, or the results", async () => {
      expect(await grade(finding("", writing('{"found": "PASSED"}')), fix())).toMatchObject(VALID_ONE);
      const copying = reading('import shutil; shutil.copy("/reading/in/0", "/reading/out.json")');
      const print = `echo '{"found": "PASSED"}'`;
      expect(await grade(finding(print, copying), fix())).toMatchObject(VALID_ONE);
      expect(await grade(finding(print, { ...copying, results: ["/out"] }), fix())).toMatchObject(VALID_ZERO);
      expect(await grade(finding(`${print} > /out`, { ...copying, results: ["/out"] }), fix())).toMatchObject(
        VALID_ONE,
      );
    });

    it("reads with a harness that no other sandbox is shown", async () => {
      const harness = join(place.root, "harness");
      const call = `import sys; sys.path.insert(0, "/reading/code"); import inner.parsers as p; open("/reading/out.json", "w").write(p.parse(open("/reading/in/0").read()))`;
      const one = reading(call);
      const files = [...(one.reading?.files ?? []), { path: "/reading/code", from: harness }];
      const spec = finding("echo found", { ...one, reading: { files, argv: ["python3", "/reading/run.py"] } });
      expect(await grade(spec, fix())).toMatchObject(VALID_ONE);
    });

    it.each([
      ["stops", reading('raise ValueError("no")')],
      ["writes nothing", reading("pass")],
      ["writes a link", reading('import os; os.symlink("/etc/passwd", "/reading/out.json")')],
      ["writes what is no map", writing("[1]")],
      ["writes no JSON", writing("{")],
    ])("gives a valid 0 where it %s, for that is the doing of who wrote the log", async (_, spec) => {
      expect(await grade(finding("echo x", spec), fix())).toMatchObject(VALID_ZERO);
    });

    it.each([
      ["says that it is broken", reading('print("no module"); raise SystemExit(3)'), "no module"],
      ["is not on this host", reading("", ["no-such-program"]), "it needs no-such-program on this host"],
    ])("is the task's fault where it %s", async (_, spec, reason) => {
      const got = await grade(finding("echo x", spec), fix());
      expect(got).toMatchObject({ ...TASK_FAULT, reason: expect.stringContaining(reason) });
    });
  });

  describe("a verifier that writes a reward", () => {
    const REWARD = "/logs/verifier/reward.txt";
    const verifying = (script: string): GraderSpec => ({
      expectation: { ...EXPECTATION, rule: "harbor@1.3", parser: "reward", failToPass: [] },
      ...{ apply: "plain", script: `mkdir -p /logs/verifier; ${script}`, timeoutMs: 60_000 },
      results: ["/logs/verifier/reward.json", REWARD],
    });
    const write = (reward: string) => `echo ${reward} > ${REWARD}`;
    const patch = () => patchOf("sed -i 's/abs(a)/a/' calc.py; touch broken");

    it("is believed, whatever its exit code", async () => {
      expect(await grade(verifying(`${write("1")}; exit 7`), patch())).toMatchObject(VALID_ONE);
      expect(await grade(verifying(write("0.5")), patch())).toMatchObject({ ...VALID_ZERO, outcome: "UNRESOLVED" });
    });

    it("gives a valid 0 where the submission keeps it from writing one, and is at fault where it never does", async () => {
      const broken = await grade(verifying(`test -e broken || ${write("0")}`), patch());
      expect(broken).toMatchObject({ ...VALID_ZERO, outcome: "TESTS_DID_NOT_FINISH" });
      expect(await grade(verifying("true"), patch())).toMatchObject(TASK_FAULT);
      expect(await grade(verifying(write("good")), patch())).toMatchObject(TASK_FAULT);
      expect(await grade(verifying("kill -9 $$"), patch())).toMatchObject(VALID_ZERO);
    });

    it("is not believed in what is not UTF-8, or too large, and the server goes on", async () => {
      const json = "/logs/verifier/reward.json";
      const spoilt = (what: string) => verifying(`${write("1")}; if test -e broken; then ${what}; fi`);
      const bytes = await grade(spoilt(`printf '{"reward": 1, "x": "\\xff"}' > ${json}`), patch());
      expect(bytes).toMatchObject({ ...VALID_ZERO, reason: "reward.json is no object" });
      const huge = `head -c 62000000 /dev/zero | tr '\\0' '\\001' > ${json}; cp ${json} ${REWARD}`;
      const reason = `the tests wrote more than 1048576 bytes to ${json}`;
      expect(await grade(spoilt(huge), patch())).toMatchObject({ ...VALID_ZERO, reason });
      expect(await grade(spoilt(`truncate -s 1G ${json}`), patch())).toMatchObject({ ...VALID_ZERO, reason });
    });

    it("cannot be spoken for by a submission that is not run", async () => {
      const early = patchOf(`mkdir -p logs/verifier; echo 1 > logs/verifier/reward.txt`);
      expect(await grade(verifying(write("0")), early)).toMatchObject({ ...VALID_ZERO, outcome: "UNRESOLVED" });
    });
  });

  it("runs the tests in the verifier's environment where the task has one", async () => {
    const { environment } = place.task;
    const elsewhere = { ...environment, key: "1".repeat(64), env: { ...environment.env, WHERE: "verifier" } };
    const spec = finding('test "$WHERE" = verifier && echo PASSED found');
    const patch = patchOf("sed -i 's/abs(a)/a/' calc.py");
    expect(await grade(spec, patch, () => Promise.resolve(elsewhere))).toMatchObject(VALID_ONE);
    expect(await grade(spec, patch)).toMatchObject(VALID_ZERO);
  });
});

const PARSERS = `import json


def parse(log):
    return json.dumps({log.strip(): "PASSED"})
`;

const EXPECTATION: Expectation = {
  ...{ rule: "swe-rebench-v2@c71902a", parser: "parse_log_pytest", evalType: "pass_and_fail" },
  ...{ failToPass: ["found"], passToPass: [] },
};

/** The log has a line of pytest's summary when the script finds everything as it should be. */
function finding(script: string, more: Partial<GraderSpec> = {}): GraderSpec {
  return { expectation: EXPECTATION, apply: "plain", script, timeoutMs: 60_000, ...more };
}
