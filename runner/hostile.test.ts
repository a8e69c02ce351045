import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunnerExecResult } from "../src/sandbox/runner/client.ts";
import { leaveOut } from "../test/support/required.ts";
import {
  bash,
  eventually,
  freshId,
  noContainerBecause,
  type StartedRunner,
  startContainedRunner,
  text,
} from "./started.ts";

const reason = noContainerBecause();
if (reason !== undefined) leaveOut("hostile commands", "oci", reason);

describe.skipIf(reason !== undefined)("inside a container, a command", () => {
  let runner: StartedRunner;
  beforeAll(async () => {
    runner = await startContainedRunner({ pids: 100, memoryMiB: 256 });
  });
  afterAll(async () => {
    await runner?.[Symbol.asyncDispose]();
  });

  /** Processes inside, without PID 1, the supervisor and bash of the question. */
  async function othersInside(): Promise<number> {
    const list = text(
      await bash(runner.client, "cd /proc; for p in [0-9]*; do read -r _ s <$p/stat 2>/dev/null && echo $p; done"),
    );
    return list.trim().split("\n").length - 3;
  }

  it("cannot open, read, trace, stop or kill the runner, nor learn anything from it", async () => {
    const script = `for f in fd/3/sock fd/3 fd/4 environ mem root/init cwd exe maps; do cat /proc/1/$f && echo OPENED $f; done
      cd /proc/1/fd/3/ && echo OPENED folder; kill -9 1; kill -STOP 1; kill -TERM 1; kill -INT 1
      tr '\\0' ' ' </proc/1/cmdline; cat /proc/1/comm; cat /proc/$PPID/environ /proc/$PPID/mem && echo OPENED; ls -l /proc/$PPID/fd/ | grep -e '->'`;
    const result = await bash(runner.client, script);
    expect(text(result, "stdout")).toMatch(/^\0* *init\n$/);
    expect(text(result, "stderr")).not.toContain("SECRET_OF_THE_BACKEND");
    expect(text(await bash(runner.client, "echo alive"))).toBe("alive\n");
  });

  it("finds neither the control folder nor a socket below its own descriptors", async () => {
    const result = await bash(
      runner.client,
      "ls /proc/self/fd/3/ /proc/self/fd/0/; cat /proc/net/unix; ls -l /proc/self/fd",
    );
    expect(text(result, "stdout")).not.toContain("socket:");
    expect(text(result, "stdout")).not.toContain("control");
  });

  it("that kills all it can see ends, and later ones run", async () => {
    const background = await bash(runner.client, "sleep 1000 & echo $!");
    const result = await bash(runner.client, "echo begun; kill -9 -1; sleep 100");
    expect(result.signal).toBe(9);
    expect(result.note).toContain("was killed from inside the sandbox");
    expect(text(result)).toBe("begun\n");
    expect(text(await bash(runner.client, `kill -0 ${text(background)} || echo alive`))).toContain("alive");
  });

  it("that kills its supervisor has ended, with a note", async () => {
    const result = await bash(runner.client, "echo begun; kill -9 $PPID; sleep 100");
    expect(result).toMatchObject({
      signal: 9,
      timedOut: false,
      note: expect.stringContaining("was killed from inside"),
    });
    const termed = await bash(runner.client, "kill -TERM $PPID; sleep 100");
    expect(termed).toMatchObject({ signal: 9, note: expect.stringContaining("was killed from inside") });
    await bash(runner.client, "kill -9 -1");
  });

  it("that stops its supervisor and everything else still ends by its time-out", async () => {
    const result = await bash(runner.client, "kill -STOP $PPID; kill -STOP -1; sleep 100", { timeoutMs: 300 });
    expect(result).toMatchObject({ signal: 9, timedOut: "command" });
    await eventually("no other is left", async () => (await othersInside()) === 0);
  });

  it("with daemons that ignore TERM, in sessions of their own and with empty environments, leaves none after its time-out", async () => {
    const daemon = "trap '' TERM HUP INT; while :; do sleep 1; done";
    const script = `for i in 1 2 3 4 5; do (setsid env -i /bin/bash -c "(${daemon}) & ${daemon}" &) ; done; ${daemon}`;
    const result = await bash(runner.client, script, { timeoutMs: 400 });
    expect(result).toMatchObject({ signal: 9, timedOut: "command" });
    expect(result.durationMs).toBeLessThan(60_000);
    await eventually("no other is left", async () => (await othersInside()) === 0);
  });

  it("that forks without end is dead soon after its time-out", async () => {
    const result = await bash(runner.client, "f() { f | f & }; f; while :; do f; done", { timeoutMs: 500 });
    expect(result.timedOut).toBe("command");
    expect(result.durationMs).toBeLessThan(60_000);
    await eventually("no other is left", async () => (await othersInside()) === 0);
  });

  it("finds no free process id under a fork bomb in the background: 126 with words, and a reader of files says denied", async () => {
    const bomb =
      "exit if fork; while (1) { my $pid = fork; if (!defined $pid) { select undef, undef, undef, 0.0001 } elsif (!$pid) { sleep 1000 } }";
    expect((await bash(runner.client, `exec perl -e '${bomb}'`)).exitCode).toBe(0);
    const results: RunnerExecResult[] = [];
    await eventually(
      "all process ids are taken",
      async () => results.push(await bash(runner.client, "true")) > 0 && results.at(-1)?.exitCode === 126,
    );
    expect(results.at(-1)?.note).toContain("cannot start a process: ");
    // One that has just come free is soon taken again.
    await eventually(
      "a reader is denied",
      async () => (await runner.client.readFile("/etc", { callId: freshId() })).type === "denied",
    );
    await eventually("a writer is told why not", async () => {
      const { failure } = await runner.client.writeFile("/tmp/x", Buffer.of(1), { callId: freshId() });
      return failure?.includes("cannot start a process") === true;
    });
    await eventually("there are process ids again", async () => {
      spawnSync("pkill", ["-9", "-P", String(runner.pid)]);
      return (await bash(runner.client, "kill -9 -1")).note?.startsWith("the process that watches") === true;
    });
  });

  it("that closes every descriptor, or writes to each it can find, changes only its own output", async () => {
    const closed = await bash(
      runner.client,
      'for i in 0 1 2 3 4 5 6 7 8 9; do eval "exec $i>&-"; done; sleep 0.05; exit 5',
    );
    expect(closed).toMatchObject({ exitCode: 5, outputBytes: 0 });
    const forged = "\\x40\\x00\\x00\\x00\\x83\\x01a";
    const script = `for f in /proc/[0-9]*/fd/*; do { printf '${forged}' >$f; } 2>/dev/null; done; for i in 3 4 5 6 7 8 9; do eval "printf '${forged}' >&$i"; done 2>/dev/null; exit 6`;
    expect((await bash(runner.client, script, { captureState: true })).exitCode).toBe(6);
    expect(text(await bash(runner.client, "echo alive"))).toBe("alive\n");
  });

  it("can neither forge the state of another step nor make it block", async () => {
    const script =
      "rm -f /tmp/f; mkfifo /tmp/f; ln -sf /proc/self/fd/9 /tmp/g; truncate -s 10G /proc/self/fd/9 2>/dev/null; exit 0";
    const result = await bash(runner.client, script, { captureState: true });
    expect(result.state?.length).toBeLessThanOrEqual(256 * 1024);
    expect((await bash(runner.client, "printf own >&9", { captureState: true })).state).toEqual(
      new Uint8Array(Buffer.from("own")),
    );
  });

  it("that puts FIFOs and links in the place of files does not reach the runner through readers and writers", async () => {
    await bash(
      runner.client,
      "cd /tmp; mkfifo fifo; ln -s /proc/self/fd/3 three; ln -s /proc/1/fd/3/sock sock; ln -s loop loop; mknod c c 1 5",
    );
    const read = async (path: string) => (await runner.client.readFile(path, { callId: freshId() })).type;
    const write = async (path: string) =>
      (await runner.client.writeFile(path, Buffer.of(1), { callId: freshId() })).failure;
    expect(await read("/tmp/fifo")).toBe("other");
    expect(await write("/tmp/fifo")).toBe("it is not a regular file");
    for (const path of [
      "/tmp/three",
      "/tmp/three/sock",
      "/tmp/sock",
      "/tmp/loop",
      "/proc/1/mem",
      "/proc/1/environ",
      "/proc/self/fd/3/sock",
    ]) {
      expect([path, await read(path)]).not.toContain("file");
      expect([path, await write(path)]).not.toContain(undefined);
    }
    expect(readdirSync(join(runner.folder, "control"))).toEqual(["sock"]);
  });

  it("cannot make the runner spill into its control folder", async () => {
    await bash(runner.client, "mv /tmp /tmp-old; ln -s /proc/self/fd/3 /tmp");
    const result = await bash(runner.client, "seq 1 10000", { keepBytes: 4096, spillBytes: 100_000, cwd: "/" });
    expect(result).toMatchObject({ exitCode: 0, truncated: true });
    expect(result).not.toHaveProperty("spillPath");
    expect(readdirSync(join(runner.folder, "control"))).toEqual(["sock"]);
    await bash(runner.client, "rm /tmp; mv /tmp-old /tmp", { cwd: "/" });
  });

  it("that floods in the background for ever does not stop later ones, nor the count of what it printed", async () => {
    await bash(runner.client, "yes & yes >&2 &");
    for (let i = 0; i < 20; i++) expect((await bash(runner.client, "echo next")).output.length).toBe(1);
    const counted = await bash(runner.client, "head -c 50000000 /dev/zero");
    expect(counted).toMatchObject({ outputBytes: 50_000_000, exitCode: 0, timedOut: false });
    await bash(runner.client, "kill -9 -1");
  });

  it("that kills whatever it sees makes readers of files fail at worst, and no other result is forgotten for it", async () => {
    await bash(runner.client, "echo kept; (trap '' HUP; while :; do kill -9 -1; done) &", { callId: "killer.kept" });
    const read = await runner.client.readFile("/etc", { callId: "killer" });
    const kept = await bash(runner.client, "never run", { callId: "killer.kept" });
    await eventually("the killer is gone", () => {
      spawnSync("pkill", ["-9", "-P", String(runner.pid)]);
      return spawnSync("pgrep", ["-P", String(runner.pid)]).stdout.length === 0;
    });
    expect(["directory", "denied"]).toContain(read.type);
    expect(text(kept)).toBe("kept\n");
  });

  it("that eats all memory is killed, and the runner is not", async () => {
    const hog = "python3 -c 'x=[]\nwhile 1: x.append(bytearray(10**7))' || tail /dev/zero";
    const result = await bash(runner.client, `echo 0 >/proc/self/oom_score_adj; (${hog}) & (${hog}) & wait; echo rest`);
    expect(result.timedOut).toBe(false);
    expect(text(await bash(runner.client, "echo alive"))).toBe("alive\n");
  });

  it("may remove everything: the runner still answers", async () => {
    await bash(runner.client, "rm -rf --no-preserve-root / 2>/dev/null; echo rest");
    expect(existsSync("/usr/bin/env")).toBe(true);
    const result = await runner.client.exec(["/usr/bin/env", "echo", "alive"], {
      callId: freshId(),
      cwd: "/",
      env: {},
      timeoutMs: 60_000,
    });
    expect([127, 126, 0]).toContain(result.exitCode);
    const missing = await runner.client.readFile("/etc/hostname", { callId: freshId() });
    expect(missing.type).toBe("missing");
    expect(readFileSync(`/proc/${runner.pid}/comm`, "utf8")).toBe("init\n");
  });
});
