import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunnerExecResult } from "../src/sandbox/runner/client.ts";
import type { ExecOptions } from "../src/sandbox/sandbox.ts";
import { leaveOut } from "../test/support/required.ts";
import {
  bash,
  eventually,
  freshId,
  noContainerBecause,
  type StartedRunner,
  startContainedRunner,
  startProcessRunner,
  text,
} from "./started.ts";

/** A shell that reads its script from standard input, as the bash tool has it. */
function repeated(
  runner: StartedRunner,
  script: string,
  options: Partial<ExecOptions> = {},
): Promise<RunnerExecResult> {
  return bash(runner.client, "read -r -d '' script; eval \"$script\"", {
    stdin: Buffer.from(script),
    repeats: true,
    ...options,
  });
}

const childrenOf = (pid: number): number[] =>
  textOf(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean).map(Number);

/** Empty when the process is gone by now. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** The shell that waits below the runner, once it reads its standard input. */
async function waitingShellOf({ pid }: StartedRunner): Promise<number> {
  let shell: number | undefined;
  await eventually("a shell waits for its input", () => {
    const below = childrenOf(pid).flatMap(childrenOf);
    shell = below.find((each) => textOf(`/proc/${each}/wchan`).includes("pipe_read"));
    return shell !== undefined;
  });
  return shell ?? 0;
}

describe("a command that repeats", () => {
  let runner: StartedRunner;
  beforeAll(async () => {
    runner = await startProcessRunner();
  });
  afterAll(async () => {
    await runner?.[Symbol.asyncDispose]();
  });

  const waitingShell = () => waitingShellOf(runner);
  const shellOf = async (options: Partial<ExecOptions> = {}): Promise<number> =>
    Number(text(await repeated(runner, "echo $$", options)));

  it("is run by a shell that was started before it was asked for", async () => {
    await repeated(runner, "true");
    const waiting = await waitingShell();
    expect(await shellOf()).toBe(waiting);
    expect(await shellOf()).not.toBe(waiting);
  });

  it("is timed from when it was asked for", async () => {
    await repeated(runner, "true");
    await waitingShell();
    await bash(runner.client, "sleep 3.2");
    const result = await repeated(runner, "sleep 0.2; echo $SECONDS", { timeoutMs: 3_000 });
    expect(result).toMatchObject({ exitCode: 0, timedOut: false });
    expect(result.durationMs).toBeLessThan(3_000);
  });

  it("is started anew when folder, environment, or a large input ask for it", async () => {
    for (const options of [
      { cwd: "/usr" },
      { cwd: "/usr", env: { PATH: "/usr/bin:/bin", A: "1" } },
      { cwd: "/usr", env: { PATH: "/usr/bin:/bin", A: "2" } },
    ]) {
      await repeated(runner, "true");
      const waiting = await waitingShell();
      const result = await repeated(runner, 'echo "$$ $PWD $A"', options);
      const [shell, cwd, a] = text(result).trimEnd().split(" ");
      expect([Number(shell) === waiting, cwd, a]).toEqual([false, "/usr", options.env?.A]);
    }
    await repeated(runner, "true");
    const waiting = await waitingShell();
    const large = await repeated(runner, `echo $$; : '${"x".repeat(10_000)}'; echo end`);
    expect(text(large)).toMatch(/^\d+\nend\n$/);
    expect(Number.parseInt(text(large), 10)).not.toBe(waiting);
  });

  it("runs though the shell that waited was killed", async () => {
    await repeated(runner, "true");
    process.kill(await waitingShell(), "SIGKILL");
    await eventually("the runner has noticed", () => childrenOf(runner.pid).length === 0);
    expect(text(await repeated(runner, "echo here"))).toBe("here\n");
  });

  it("falls back to the runner's folder with a note when the one before it removed its folder", async () => {
    const cwd = join(runner.folder, "gone");
    mkdirSync(cwd);
    await repeated(runner, `rmdir ${cwd}`, { cwd });
    await waitingShell();
    const result = await repeated(runner, "pwd", { cwd });
    expect(text(result, "stdout")).toBe(`${runner.folder}\n`);
    expect(text(result, "stderr")).toContain("starting in /");
  });

  it("leaves no shell behind that waits for nothing, and is in no list of calls", async () => {
    for (const cwd of ["/", "/usr", "/tmp", "/usr", "/"]) await repeated(runner, "true", { cwd });
    await waitingShell();
    await eventually("one is left", () => childrenOf(runner.pid).length === 1);
    expect((await runner.client.calls()).every(({ id }) => id !== "")).toBe(true);
    rmSync(join(runner.folder, "gone"), { recursive: true, force: true });
    expect(readdirSync(runner.folder)).not.toContain("gone");
  });

  it("attaches to its own result when the same id comes again", async () => {
    const callId = freshId();
    const first = text(await repeated(runner, "echo $$", { callId }));
    await waitingShell();
    expect(text(await repeated(runner, "echo other", { callId }))).toBe(first);
  });
});

const reason = noContainerBecause();
if (reason !== undefined) leaveOut("hostile commands for the shell that waits", "oci", reason);

describe.skipIf(reason !== undefined)("inside a container, the shell that waits", () => {
  let runner: StartedRunner;
  beforeAll(async () => {
    runner = await startContainedRunner({ pids: 100, memoryMiB: 256 });
  });
  afterAll(async () => {
    await runner?.[Symbol.asyncDispose]();
  });

  /** Runs a script for the process `$p` once for every process that it sees, in the background of a step, once the next shell waits. */
  async function attack(script: string): Promise<void> {
    const each = `for p in $(ls /proc | grep '^[0-9]'); do ${script}; done`;
    const begin = "until [ -e /tmp/begin ]; do sleep 0.01; done";
    await repeated(runner, `rm -f /tmp/done /tmp/begin; ( ${begin}; ${each}; echo >/tmp/done ) >/dev/null 2>&1 &`);
    await waitingShellOf(runner);
    await bash(runner.client, "touch /tmp/begin");
    await eventually("the attack is over", async () => (await bash(runner.client, "test -e /tmp/done")).exitCode === 0);
  }

  it("cannot be made to hold up the runner by filling or keeping open its input", async () => {
    await attack(
      "[ -p /proc/$p/fd/0 ] && { exec 7<>/proc/$p/fd/0; timeout 0.3 dd if=/dev/zero bs=65536 count=4 >&7; sleep 1000 <&7 & }",
    );
    const result = await repeated(runner, "echo through", { timeoutMs: 60_000 });
    expect(text(result)).toBe("through\n");
  });

  it("can be killed or stopped by other processes, and commands go on", async () => {
    await attack("[ -p /proc/$p/fd/0 ] && kill -KILL $p");
    expect(text(await repeated(runner, "echo after kill"))).toBe("after kill\n");
    await attack("[ -p /proc/$p/fd/0 ] && kill -STOP $p");
    const result = await repeated(runner, "echo after stop", { timeoutMs: 1000 });
    expect(result.timedOut).toBe("command");
    expect(text(await repeated(runner, "echo again"))).toBe("again\n");
  });
});
