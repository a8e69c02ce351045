import { readdir, readFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Grade } from "../../src/grading/grade.ts";
import { Grader } from "../../src/grading/grader.ts";
import type { Backend, ExecResult, Sandbox } from "../../src/sandbox/sandbox.ts";
import { WarmPool } from "../../src/sandbox/warm.ts";
import { type GradedTask, HIDDEN } from "../support/graded-task.ts";
import { canGrade, type GradingPlace, openGradingPlace } from "../support/grading-place.ts";

const runnable = await canGrade("grading in sandboxes");
const signal = new AbortController().signal;
const FIX = "sed -i 's/abs(a) + abs(b)/a + b/' calc.py";

describe.skipIf(!runnable)("grading what an agent leaves in an oci sandbox", () => {
  let place: GradingPlace;
  let backend: Backend;
  let task: GradedTask;
  let warm: WarmPool;
  let grader: Grader;
  let agent: Sandbox;
  let calls = 0;

  beforeAll(async () => {
    place = await openGradingPlace();
    ({ backend, task, warm, grader } = place);
  });
  afterAll(() => place?.close());
  beforeEach(async () => {
    const { rootfs, layers, binds, workdir, env } = task.environment;
    agent = await backend.create({
      ...{ id: place.options.newId(), rootfs, layers, binds, workdir, env, limits: place.options.limits },
      views: [],
      network: "none",
    });
  });
  afterEach(async () => {
    await Promise.all([agent.dispose(), warm.settled()]);
    expect(await backend.list()).toEqual([]);
  });

  function run(command: string): Promise<ExecResult> {
    calls += 1;
    return agent.exec(["bash", "-c", command], { callId: `c${calls}`, timeoutMs: 60_000 });
  }

  function gradeNow(): Promise<Grade> {
    return grader.gradeSandbox({ sandbox: agent, environment: task.environment, spec: task.spec, signal });
  }

  async function gradeAfter(command: string): Promise<Grade> {
    await run(command);
    return gradeNow();
  }

  function gradePatch(patch: string): Promise<Grade> {
    const submission = { patch: Buffer.from(patch), leftOut: [] };
    return grader.gradeSubmission({ environment: task.environment, spec: task.spec, submission, signal });
  }

  it("gives 1 for an honest fix, three times of three, and lets the agent go on", async () => {
    await run(`${FIX}; (while sleep 0.05; do date +%s%N > /tmp/beat; done) > /dev/null 2>&1 &`);
    for (const _ of [1, 2, 3]) {
      expect(await gradeNow()).toMatchObject({ reward: 1, validity: "VALID", outcome: "RESOLVED", leftOut: [] });
    }
    const beats = await run(
      "a=$(cat /tmp/beat); for i in $(seq 600); do b=$(cat /tmp/beat); [ $a = $b ] || exit 0; sleep 0.05; done; exit 1",
    );
    expect(beats.exitCode).toBe(0);
    expect(textOf(await run("git status --porcelain"))).toBe(" M calc.py\n");
  });

  it("gives 0 for nothing, for a wrong fix and for one that breaks what passed", async () => {
    expect(await gradeNow()).toMatchObject({ reward: 0, validity: "VALID", outcome: "EMPTY_PATCH" });
    expect(await gradeAfter("sed -i 's/abs(b)/b/' calc.py")).toMatchObject({
      reward: 0,
      validity: "VALID",
      outcome: "UNRESOLVED",
    });
    const broken = await gradeAfter("printf 'def add(a, b):\\n    return a + b\\n' > calc.py");
    expect(broken).toMatchObject({ reward: 0, validity: "VALID", outcome: "UNRESOLVED" });
  });

  it("gives bare patches what they deserve", async () => {
    expect(await gradePatch(task.goldPatch)).toMatchObject({ reward: 1, outcome: "RESOLVED" });
    expect(await gradePatch("")).toMatchObject({ reward: 0, outcome: "EMPTY_PATCH" });
    expect(await gradePatch(task.goldPatch.replaceAll("abs", "sba"))).toMatchObject({
      ...{ reward: 0, validity: "VALID", outcome: "PATCH_DOES_NOT_APPLY" },
    });
    expect(await gradePatch("not a patch")).toMatchObject({ reward: 0, outcome: "PATCH_DOES_NOT_APPLY" });
    const displaced = task.goldPatch.replace(/^ {5}return add.*$/m, "     return something else");
    expect(await gradePatch(displaced.replace("@@ -1,", "@@ -3,"))).toMatchObject({ validity: "VALID" });
  });

  it("tells of the structure of a patch without a reward, and runs nothing of it", async () => {
    const options = { ...place.options, backend, warm, kind: "structural" } as const;
    const { environment, spec } = task;
    const structureAfter = async (command: string) => {
      await run(`git checkout --quiet . && git clean --quiet -fdx && ${command}`);
      return new Grader(options).gradeSandbox({ sandbox: agent, environment, spec, signal });
    };
    const looked: [string, string, RegExp][] = [
      [FIX, "COMPILES", /applies; 1 changed files compile, 0 are of a kind that is not compiled; no test was run$/],
      ["rm calc.py; echo more >> docs/page.md", "COMPILES", /0 changed files compile, 1 are of a kind/],
      ["echo 'raise SystemExit(7)' > conftest.py; ln -s /dev/zero zero.py", "COMPILES", /1 changed files compile/],
      ["echo 'def (' >> calc.py", "DOES_NOT_COMPILE", /calc.py: SyntaxError: /],
      ["printf 'x = 1\\0' > 'a b.py'", "DOES_NOT_COMPILE", /a b.py: /],
      ["echo 'if true; then' > run.sh", "DOES_NOT_COMPILE", /run.sh: line /],
    ];
    for (const [command, outcome, reason] of looked) {
      const got = await structureAfter(command);
      expect(got, command).toMatchObject({ validity: "STRUCTURAL", outcome, reason: expect.stringMatching(reason) });
      expect("reward" in got).toBe(false);
    }
    const submission = { patch: Buffer.from(task.goldPatch.replaceAll("abs", "sba")), leftOut: [] };
    const stale = await new Grader(options).gradeSubmission({ environment, spec, submission, signal });
    expect(stale).toMatchObject({ validity: "STRUCTURAL", outcome: "PATCH_DOES_NOT_APPLY" });
    expect("reward" in stale).toBe(false);
  });

  it("gives the same grades in sandboxes that stood ready, and leaves as little", async () => {
    const ready = new WarmPool({ backend, perEnvironment: 2, total: 2 });
    const quick = new Grader({ ...place.options, backend, warm: ready });
    const { environment, spec } = task;
    for (const [command, reward] of [
      ["true", 0],
      [FIX, 1],
      ["echo 'def add(a, b): pass' > calc.py", 0],
      ["git checkout calc.py; touch conftest.py", 0],
    ] as const) {
      await run(command);
      const grade = await quick.gradeSandbox({ sandbox: agent, environment, spec, signal });
      expect(grade, command).toMatchObject({ reward, validity: "VALID" });
    }
    await expect.poll(() => ready.size).toBe(2);
    await ready.drain();
    expect(await backend.list()).toEqual([agent.id]);
  });

  it("needs nothing of the agent's git", async () => {
    expect(await gradeAfter(`${FIX}; rm -rf .git`)).toMatchObject({ reward: 1 });
    expect(
      await gradeAfter("git init -q; git add -A; git -c user.name=x -c user.email=x commit -qm all"),
    ).toMatchObject({ reward: 1 });
  });

  it("takes the tree as it stands when the agent's first process is dead", async () => {
    await run(FIX);
    process.kill(await firstProcess(agent.id), "SIGKILL");
    await expect.poll(() => agent.alive()).toBe(false);
    expect(await gradeNow()).toMatchObject({ reward: 1 });
  });

  it("takes strange trees and names what it leaves out", async () => {
    const grade = await gradeAfter(
      [
        FIX,
        "mkfifo pipe docs/pipe; rm docs/page.md; ln -s /dev/zero docs/zero; ln -s / everything",
        "printf 'x = 1\\n' > $'new\\nline \"quoted\".py'; printf 'y\\n' > $'bytes-\\xff\\xfe'; chmod 755 test_calc.py",
        "printf '\\x00\\x01\\x02' > table.bin; git init -q inner; echo i > inner/file; echo noise > debug.log",
        "printf '*.py filter=x -diff\\n' > .gitattributes; printf '*\\n' > docs/.gitignore; echo kept > docs/kept.md",
        "git config filter.x.clean 'touch /tmp/sprung; cat'; echo '*.md' >> .git/info/exclude",
      ].join("\n"),
    );
    expect(grade).toMatchObject({ reward: 1, validity: "VALID", outcome: "RESOLVED" });
    expect([...grade.leftOut].sort()).toEqual(["debug.log", "docs/pipe", "inner/.git", "pipe"]);
    const patch = Buffer.from(grade.patchBase64, "base64").toString("latin1");
    for (const part of [
      "new mode 100755",
      "GIT binary patch",
      "+    return a + b",
      "docs/kept.md",
      "inner/file",
      'b/bytes-\\377\\376"',
      "b/everything",
    ]) {
      expect(patch).toContain(part);
    }
    expect((await run("test -e /tmp/sprung")).exitCode).toBe(1);
  });

  it.each([
    ["gone", "cd /; rm -rf /testbed", "/testbed is gone"],
    ["a link", "cd /; mv testbed elsewhere; ln -s /elsewhere /testbed", "/testbed is a link"],
    ["a file", "cd /; rm -rf testbed; echo > testbed", "/testbed is no folder"],
  ])("gives a valid 0 when the work tree is %s", async (_, damage, reason) => {
    expect(await gradeAfter(damage)).toMatchObject({
      reward: 0,
      validity: "VALID",
      outcome: "POLICY_BROKE_SANDBOX",
      reason,
    });
  });

  it("gives a valid 0 for an emptied tree, and for one in which everything is gone", async () => {
    expect(await gradeAfter("find . -mindepth 1 -delete")).toMatchObject({
      reward: 0,
      validity: "VALID",
      outcome: "UNRESOLVED",
    });
    expect(await gradeAfter("rm -rf / --no-preserve-root")).toMatchObject({ reward: 0, validity: "VALID" });
  });

  it("takes a tree deeper than any path may be", async () => {
    const dig =
      'import os\nfor _ in range(1200): os.mkdir("deeper"); os.chdir("deeper")\nos.mkfifo("pipe"); open("x", "w")';
    expect(await gradeAfter(`${FIX}; python3 -c '${dig}'`)).toMatchObject({ reward: 1, validity: "VALID" });
  });

  it("gives a valid 0 for what is too large to be a patch, quickly", async () => {
    const large = await gradeAfter(`${FIX}; head -c 40M /dev/urandom > big.bin`);
    expect(large).toMatchObject({ reward: 0, validity: "VALID", outcome: "SUBMISSION_TOO_LARGE" });
    const together = "rm big.bin; for n in 1 2; do head -c 20M /dev/urandom > part$n.bin; done";
    expect(await gradeAfter(together)).toMatchObject({
      ...{ reward: 0, validity: "VALID", outcome: "SUBMISSION_TOO_LARGE" },
      reason: expect.stringContaining("the patch is larger"),
    });
    expect(await gradeAfter("rm part?.bin; truncate -s 1T hole")).toMatchObject({
      reward: 0,
      outcome: "SUBMISSION_TOO_LARGE",
    });
    expect(await gradeAfter("mv hole hole.log")).toMatchObject({ reward: 1, leftOut: ["hole.log"] });
  });

  it("gives a valid 0 to code that runs over its own limits, after a second try", async () => {
    const spec = { ...task.spec, timeoutMs: 3000 };
    await run("printf 'import time\\ntime.sleep(600)\\n' > calc.py");
    const slow = await grader.gradeSandbox({ sandbox: agent, environment: task.environment, spec, signal });
    expect(slow).toMatchObject({ reward: 0, validity: "VALID", outcome: "TESTS_TIMED_OUT" });
    const killer = await gradeAfter("printf 'import os\\nos.kill(os.getppid(), 9)\\n' > calc.py");
    expect(killer).toMatchObject({ reward: 0, validity: "VALID", outcome: "TESTS_DID_NOT_FINISH" });
    const hog = await gradeAfter("printf 'x = bytearray(2 << 30)\\n' > calc.py");
    expect(hog).toMatchObject({ reward: 0, validity: "VALID", outcome: "TESTS_DID_NOT_FINISH" });
    const flood = await gradeAfter(`printf 'for _ in range(2000): print("x" * 65536)\\n' > calc.py`);
    expect(flood).toMatchObject({ reward: 0, validity: "VALID", outcome: "TESTS_DID_NOT_FINISH" });
    expect(flood.reason).toContain("67108864 bytes");
    expect(flood.hidden.log.length).toBeLessThan(200_000);
  }, 300_000);

  it("is cancelled by its signal and leaves nothing", async () => {
    await run("printf 'import time\\ntime.sleep(600)\\n' > calc.py");
    const stop = AbortSignal.timeout(1500);
    const grade = await grader.gradeSandbox({
      sandbox: agent,
      environment: task.environment,
      spec: task.spec,
      signal: stop,
    });
    expect(grade).toMatchObject({ validity: "CANCELLED", outcome: "NO_VERDICT" });
    expect(grade).not.toHaveProperty("reward");
    await grader.settled();
    expect(await backend.list()).toEqual([agent.id]);
  });

  it("shows the agent nothing of the hidden tests, also after a grade", async () => {
    await gradeAfter(FIX);
    const patterns = Buffer.from(HIDDEN.join("\n"));
    await agent.writeFile("/dev/shm/patterns", patterns, { callId: "patterns" });
    const skipped = "--exclude-dir=dev --exclude-dir=proc --exclude-dir=sys --exclude-dir=usr";
    const files = await run(`grep -r -s -l -F --devices=skip ${skipped} -f /dev/shm/patterns /`);
    const processes = await run("cat /proc/*/environ /proc/*/cmdline /proc/self/mounts");
    expect(textOf(files)).toBe("");
    expect(HIDDEN.filter((name) => textOf(processes).includes(name))).toEqual([]);
  });
});

function textOf({ output }: ExecResult): string {
  return Buffer.concat(output.map(({ data }) => data)).toString();
}

/** The host's id of the process that is number 1 inside. */
async function firstProcess(id: string): Promise<number> {
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const [groups, status] = await Promise.all(
      ["cgroup", "status"].map((file) => readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "")),
    );
    if (groups?.includes(id) && /^NSpid:.*\t1$/m.test(status ?? "")) return Number(pid);
  }
  throw new Error(`no first process of ${id}`);
}
