import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RunnerClient, RunnerGone } from "../src/sandbox/runner/client.ts";
import {
  decodeDone,
  decodeOutput,
  encodeRequest,
  Flag,
  type Frame,
  FrameReader,
  Op,
} from "../src/sandbox/runner/frames.ts";
import { socketDial } from "../src/sandbox/runner/socket.ts";
import type { OutputChunk } from "../src/sandbox/sandbox.ts";
import { bash, eventually, freshId, type StartedRunner, startProcessRunner, text } from "./started.ts";

let runner: StartedRunner;
beforeAll(async () => {
  runner = await startProcessRunner();
});
afterAll(async () => {
  await runner?.[Symbol.asyncDispose]();
});

describe("a command", () => {
  it("gives its exit code, and both streams in order of arrival", async () => {
    const callId = freshId();
    const wait = (bytes: number) => `until [ -e ${runner.folder}/read-${bytes} ]; do sleep 0.01; done`;
    const script = `echo one; ${wait(4)}; echo two >&2; ${wait(8)}; echo three; exit 7`;
    const running = bash(runner.client, script, { callId });
    for (const bytes of [4, 8]) {
      await eventually(`${bytes} bytes were read`, async () =>
        (await runner.client.calls()).some(({ id, outputBytes }) => id === callId && outputBytes === bytes),
      );
      writeFileSync(join(runner.folder, `read-${bytes}`), "");
    }
    const result = await running;
    expect(result.exitCode).toBe(7);
    expect(result.output.map((chunk) => [chunk.offset, chunk.stream, String(chunk.data)])).toEqual([
      [0, "stdout", "one\n"],
      [4, "stderr", "two\n"],
      [8, "stdout", "three\n"],
    ]);
    expect(result).toMatchObject({ outputBytes: 14, truncated: false, timedOut: false, interrupted: false });
  });

  it("that a signal ended gives the signal and no exit code", async () => {
    const result = await bash(runner.client, "kill -SEGV $$");
    expect(result.signal).toBe(11);
    expect(result).not.toHaveProperty("exitCode");
  });

  it("gets exactly the environment and the folder it was given, default signals and no descriptor but 0, 1 and 2", async () => {
    const result = await runner.client.exec(
      [
        "bash",
        "-c",
        "pwd; echo $A; cat /proc/self/environ | tr '\\0' ' '; grep -E 'Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd",
      ],
      {
        callId: freshId(),
        cwd: "/usr",
        env: { A: "b\nc", PATH: "/usr/bin:/bin" },
        timeoutMs: 60_000,
      },
    );
    const [folder, ...rest] = text(result).split("\n");
    expect(folder).toBe("/usr");
    expect(rest.join("\n")).toContain("b\nc");
    expect(rest.join("\n")).toContain("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0\n1\n2\n3\n");
  });

  it("whose folder is gone starts in the runner's own, never in / of the host, and says so", async () => {
    const result = await bash(runner.client, "pwd", { cwd: "/nowhere/at/all" });
    expect(text(result, "stdout")).toBe(`${runner.folder}\n`);
    expect(text(result, "stderr")).toContain("/nowhere/at/all: No such file or directory; starting in /");
  });

  it("that does not exist is 127 with words", async () => {
    const options = { callId: freshId(), cwd: "/", env: {}, timeoutMs: 60_000 };
    const result = await runner.client.exec(["no-such-program"], options);
    expect(result.exitCode).toBe(127);
    expect(text(result)).toContain("no-such-program: No such file or directory");
  });

  it("reads what it is given on standard input, 3 MiB too, and else finds it empty", async () => {
    const stdin = Buffer.alloc(3 * 1024 * 1024, "x");
    expect(text(await bash(runner.client, "wc -c", { stdin })).trim()).toBe(String(stdin.length));
    expect(text(await bash(runner.client, "wc -c"))).toBe("0\n");
  });

  it("leaves what it writes to descriptor 9 as its state, of which 256 KiB are taken", async () => {
    const options = { captureState: true };
    const small = await bash(runner.client, "printf 'too long' >&9; printf 'a\\0b' >/proc/self/fd/9", options);
    expect(Buffer.from(small.state ?? []).toString()).toBe("a\0b");
    expect((await bash(runner.client, "head -c 1000000 /dev/zero >&9", options)).state?.length).toBe(256 * 1024);
    expect((await bash(runner.client, "true", options)).state?.length).toBe(0);
    expect(await bash(runner.client, "echo x >&9")).not.toHaveProperty("state");
  });

  it("that cannot be encoded is refused with a reason", async () => {
    await expect(bash(runner.client, "echo \0")).rejects.toMatchObject({ fault: "invalid" });
    await expect(bash(runner.client, "true", { callId: "a/b" })).rejects.toMatchObject({ fault: "invalid" });
    await expect(runner.client.exec([], { callId: "e", cwd: "/", env: {}, timeoutMs: 1 })).rejects.toMatchObject({
      fault: "invalid",
    });
    await expect(bash(runner.client, "x".repeat(5_000_000))).rejects.toMatchObject({ fault: "invalid" });
  });
});

describe("the end of a command", () => {
  it("by its time-out takes the whole tree along and keeps the partial output", async () => {
    const nap = `sleep 1234.${process.pid}`;
    const script = `echo begun; (setsid ${nap} &) ; trap '' TERM; ${nap}`;
    const result = await bash(runner.client, script, { timeoutMs: 2_500 });
    expect(result).toMatchObject({ signal: 9, timedOut: "command", interrupted: false });
    expect(text(result)).toBe("begun\n");
    expect(result.durationMs).toBeLessThan(60_000);
    expect(spawnSync("pgrep", ["-fx", nap]).stdout.toString()).toBe("");
  });

  it("comes when it is silent for too long, but not while it prints", async () => {
    const silent = await bash(runner.client, "echo begun; sleep 100", { noOutputTimeoutMs: 200 });
    expect(silent.timedOut).toBe("no_output");
    const chatty = await bash(runner.client, "for i in 1 2 3 4 5 6 7; do sleep 0.5; echo; done", {
      noOutputTimeoutMs: 3_000,
    });
    expect(chatty.timedOut).toBe(false);
  });

  it("by an interrupt is told apart from a time-out", async () => {
    const callId = freshId();
    const begun = Promise.withResolvers<void>();
    const result = bash(runner.client, "echo begun; sleep 100", { callId, onOutput: () => begun.resolve() });
    await begun.promise;
    await runner.client.interrupt(callId);
    expect(await result).toMatchObject({ signal: 9, interrupted: true, timedOut: false });
    await runner.client.interrupt("unknown");
  });

  it("leaves its background processes alive, and does not wait for their output", async () => {
    const result = await bash(runner.client, "sleep 1000 & echo $!");
    expect(result).toMatchObject({ exitCode: 0, timedOut: false });
    const pid = text(result).trim();
    expect(text(await bash(runner.client, `kill ${pid}; echo $?`))).toBe("0\n");
  });
});

describe("output", () => {
  it("beyond what is kept shows its head and its tail, with a jump of the offset, and lies whole in the spill file", async () => {
    const result = await bash(runner.client, "seq 1 100000", { keepBytes: 4096, spillBytes: 1024 * 1024 });
    const all = Array.from({ length: 100_000 }, (_, i) => `${i + 1}\n`).join("");
    expect(result.outputBytes).toBe(all.length);
    expect(result.truncated).toBe(true);
    expect(result.output.map((chunk) => chunk.offset)).toEqual([0, all.length - 2048]);
    expect(text(result)).toBe(all.slice(0, 2048) + all.slice(-2048));
    expect(readFileSync(result.spillPath ?? "", "utf8")).toBe(all);
    rmSync(result.spillPath ?? "");
  });

  it("is spilled up to the limit and no further, and not at all when it fits", async () => {
    const result = await bash(runner.client, "seq 1 100000", { keepBytes: 4096, spillBytes: 10_000 });
    expect(readFileSync(result.spillPath ?? "").length).toBe(10_000);
    rmSync(result.spillPath ?? "");
    expect(await bash(runner.client, "seq 1 10", { spillBytes: 10_000 })).not.toHaveProperty("spillPath");
  });

  it("comes live, in order and with offsets, and the result is the same as without", async () => {
    const chunks: OutputChunk[] = [];
    const script = "for i in 1 2 3; do seq 1 30000; seq 1 30000 >&2; sleep 0.03; done";
    const live = await bash(runner.client, script, { keepBytes: 300_000, onOutput: (chunk) => chunks.push(chunk) });
    expect(chunks.reduce((next, chunk) => (chunk.offset === next ? next + chunk.data.length : -1), 0)).toBe(
      live.outputBytes,
    );
    expect(live.output.reduce((sum, chunk) => sum + chunk.data.length, 0)).toBe(300_000);
  });

  it("of 100 MiB is not held up by a reader that does not read, which later finds head, gap, tail and result", async () => {
    const callId = freshId();
    const words = ["/tmp", "/tmp/spill-", "head", "-c", "104857600", "/dev/zero", "PATH=/usr/bin:/bin"];
    const socket = connect(runner.socketPath);
    socket.write(
      encodeRequest(Op.start, callId, { flags: Flag.live, timeoutMs: 120_000, keepBytes: 1_000_000, a: 4, words }),
    );
    await eventually("the flood is over", async () =>
      (await runner.client.calls()).some(
        (call) => call.id === callId && !call.running && call.outputBytes === 104857600,
      ),
    );
    const reader = new FrameReader();
    const frames: Frame[] = [];
    for await (const arrived of socket) {
      frames.push(...reader.push(arrived as Buffer));
      if (frames.at(-1)?.op === Op.done) break;
    }
    const chunks = frames.slice(0, -1).map((frame) => decodeOutput(frame.body));
    expect(chunks[0]?.offset).toBe(0);
    const gaps = chunks.filter(
      (chunk, i) => i > 0 && chunk.offset !== (chunks[i - 1]?.offset ?? 0) + (chunks[i - 1]?.data.length ?? 0),
    );
    expect(gaps.at(-1)?.offset).toBe(104857600 - 500_000);
    expect(decodeDone(frames.at(-1)?.body ?? Buffer.alloc(0))).toMatchObject({ exitCode: 0, outputBytes: 104857600 });
  });

  it("of an earlier step's background process does not appear in a later step", async () => {
    await bash(runner.client, "(for i in 1 2 3 4 5; do echo stray; sleep 0.02; done) &");
    const result = await bash(runner.client, "sleep 0.15; echo mine");
    expect(text(result)).toBe("mine\n");
  });
});

describe("a call id", () => {
  it("runs once: the second start attaches and gets the same result", async () => {
    const file = join(runner.folder, "once");
    const callId = freshId();
    const script = `echo x >>${file}; sleep 0.1; echo done; exit 3`;
    const other = await runner.connect();
    const results = await Promise.all([
      bash(runner.client, script, { callId }),
      bash(runner.client, script, { callId }),
      bash(other, script, { callId }),
    ]);
    results.push(await bash(other, script, { callId }));
    for (const result of results) expect(result).toEqual(results[0]);
    expect(results[0]?.exitCode).toBe(3);
    expect(readFileSync(file, "utf8")).toBe("x\n");
  });

  it("survives its client: the next one attaches and gets the earlier output too", async () => {
    const callId = freshId();
    const begun = Promise.withResolvers<void>();
    const script = `echo early; until [ -e ${runner.folder}/go ]; do sleep 0.01; done; echo late`;
    const first = await runner.connect();
    const lost = bash(first, script, { callId, onOutput: () => begun.resolve() });
    await begun.promise;
    const expectation = expect(lost).rejects.toBeInstanceOf(RunnerGone);
    await first.close();
    await expectation;
    expect((await runner.client.calls()).find((call) => call.id === callId)).toEqual({
      id: callId,
      running: true,
      outputBytes: 6,
    });
    const heard: string[] = [];
    const second = bash(runner.client, script, { callId, onOutput: (chunk) => heard.push(String(chunk.data)) });
    writeFileSync(join(runner.folder, "go"), "");
    expect(text(await second)).toBe("early\nlate\n");
    expect(heard.join("")).toBe("early\nlate\n");
  });

  it("is forgotten when acknowledged, together with what begins with it and a dot", async () => {
    for (const callId of ["ack", "ack.1", "ack.1.read", "ack1"]) await bash(runner.client, "true", { callId });
    runner.client.acknowledge("ack");
    const left = (await runner.client.calls()).filter((call) => call.id.startsWith("ack"));
    expect(left.map((call) => call.id)).toEqual(["ack1"]);
  });

  it("whose waiting is aborted goes on", async () => {
    const callId = freshId();
    const go = join(runner.folder, "aborted");
    const script = `until [ -e ${go} ]; do sleep 0.01; done; echo done`;
    const waiting = bash(runner.client, script, { callId, signal: AbortSignal.timeout(20) });
    await expect(waiting).rejects.toMatchObject({ name: "TimeoutError" });
    writeFileSync(go, "");
    expect(text(await bash(runner.client, "never run", { callId }))).toBe("done\n");
  });

  it("keeps its ending though its output had to make room for that of 70 later ones", async () => {
    const callId = freshId();
    const script = "head -c 2000000 /dev/zero";
    await bash(runner.client, script, { callId });
    for (let i = 0; i < 70; i++) await bash(runner.client, script, { callId: `room.${i}` });
    const result = await bash(runner.client, script, { callId });
    expect(result).toMatchObject({ exitCode: 0, outputBytes: 2000000, truncated: true, output: [] });
    runner.client.acknowledge("room");
  });
});

describe("files", () => {
  it("are written with their folders and mode, and read back whole or in part", async () => {
    const path = join(runner.folder, "a/b/c");
    const data = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => i % 251));
    expect(await runner.client.writeFile(path, data, { callId: freshId(), mode: 0o750 })).toEqual({});
    expect(spawnSync("stat", ["-c", "%a", path]).stdout.toString()).toBe("750\n");
    const whole = await runner.client.readFile(path, { callId: freshId() });
    expect([whole.type, whole.sizeBytes, data.equals(whole.data)]).toEqual(["file", data.length, true]);
    const part = await runner.client.readFile(path, { callId: freshId(), maxBytes: 10 });
    expect([part.sizeBytes, [...part.data]]).toEqual([data.length, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]);
    expect(await runner.client.writeFile(path, Buffer.from("short"), { callId: freshId() })).toEqual({});
    expect(readFileSync(path, "utf8")).toBe("short");
  });

  it("give the same bytes for the same call id though they have changed", async () => {
    const path = join(runner.folder, "changing");
    const callId = freshId();
    writeFileSync(path, "before");
    await runner.client.readFile(path, { callId });
    writeFileSync(path, "after");
    expect(String((await runner.client.readFile(path, { callId })).data)).toBe("before");
    runner.client.acknowledge(callId);
    expect(String((await runner.client.readFile(path, { callId })).data)).toBe("after");
  });

  it("that are folders are listed, sorted, with a slash after folders", async () => {
    const path = join(runner.folder, "listed");
    mkdirSync(join(path, "z"), { recursive: true });
    writeFileSync(join(path, "b"), "");
    writeFileSync(join(path, "a c"), "");
    const listing = await runner.client.readFile(path, { callId: freshId() });
    expect([listing.type, String(listing.data)]).toEqual(["directory", "a c\nb\nz/\n"]);
  });

  it("that are missing, or neither file nor folder, are named as such at once", async () => {
    const fifo = join(runner.folder, "fifo");
    spawnSync("mkfifo", [fifo]);
    symlinkSync(fifo, join(runner.folder, "link"));
    const read = async (path: string) => (await runner.client.readFile(path, { callId: freshId() })).type;
    expect(await read(join(runner.folder, "missing"))).toBe("missing");
    expect(await read(join(runner.folder, "fifo"))).toBe("other");
    expect(await read(join(runner.folder, "link"))).toBe("other");
    expect(await read("/dev/zero")).toBe("other");
    const write = (path: string) => runner.client.writeFile(path, Buffer.from("x"), { callId: freshId() });
    expect(await write(fifo)).toEqual({ failure: "it is not a regular file" });
    expect(await write("/dev/null")).toEqual({ failure: "it is not a regular file" });
    expect(await write(runner.folder)).toEqual({ failure: "it is not a regular file" });
    expect(await write("/dev/null/x")).toEqual({ failure: "Not a directory" });
  });
});

describe("the runner", () => {
  it("closes a connection that talks nonsense, and serves the others on", async () => {
    const frame = (op: number, body: Buffer) => {
      const head = Buffer.from([0, 0, 0, 0, op, 1, 0x61]);
      head.writeUInt32LE(3 + body.length);
      return Buffer.concat([head, body]);
    };
    const nonsense = [
      Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 0]),
      Buffer.from([1, 0, 0, 0, 1]),
      Buffer.from([2, 0, 0, 0, 1, 200]),
      Buffer.from([3, 0, 0, 0, 2, 1, 0x2f]),
      frame(99, Buffer.alloc(0)),
      ...[0, 47, 48, 60].map((size) => frame(2, Buffer.alloc(size))),
      ...[0, 47, 48, 60].map((size) => frame(2, Buffer.alloc(size, 0xff))),
      ...[3, 4].map((op) => frame(op, Buffer.alloc(100))),
    ];
    for (const bytes of nonsense) {
      const socket = connect(runner.socketPath);
      socket.on("error", () => undefined);
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.write(bytes);
      socket.resume();
      await closed;
    }
    expect(text(await bash(runner.client, "echo alive"))).toBe("alive\n");
  });

  it("serves a client again whose connection broke, calls under way included", async () => {
    await using own = await startProcessRunner();
    const links: Socket[] = [];
    const relay = createServer((near) => {
      const far = connect(own.socketPath);
      links.push(near.on("error", () => far.destroy()));
      near.pipe(far).pipe(near);
    }).listen(join(own.folder, "relay"));
    await using client = await RunnerClient.connect(socketDial(join(own.folder, "relay"), 60_000));
    const file = join(own.folder, "go");
    const result = bash(client, `echo a; until [ -e ${file} ]; do sleep 0.01; done; echo b`, {
      onOutput: (chunk) => {
        if (chunk.offset === 0) links[0]?.destroy();
      },
    });
    await eventually("the client is back", () => links.length === 2);
    writeFileSync(file, "");
    expect(text(await result)).toBe("a\nb\n");
    expect(client.instance).toBe(own.client.instance);
    relay.close();
  });

  it("goes when it is asked to, or told by TERM, or when its folder goes, and takes its processes along", async () => {
    const nap = `sleep 777.${process.pid}`;
    const ends: ((runner: StartedRunner) => unknown)[] = [
      (own) => own.client.shutdown(),
      (own) => process.kill(own.pid, "SIGTERM"),
      (own) => rmSync(own.folder, { recursive: true }),
    ];
    for (const end of ends) {
      await using own = await startProcessRunner();
      const left = bash(own.client, `${nap} & ${nap}`);
      const expectation = expect(left).rejects.toBeInstanceOf(RunnerGone);
      await eventually("two sleep", () => spawnSync("pgrep", ["-fx", nap]).stdout.toString().split("\n").length === 3);
      await end(own);
      await expectation;
      await eventually("nothing is left", () => spawnSync("pgrep", ["-fx", nap]).stdout.length === 0);
      await expect(bash(own.client, "true")).rejects.toBeInstanceOf(RunnerGone);
    }
  });

  it("is reached by a path longer than a socket address", async () => {
    const deep = join(runner.folder, "d".repeat(120));
    symlinkSync(join(runner.folder, "control"), deep);
    await using client = await RunnerClient.connect(socketDial(join(deep, "sock")));
    expect(client.instance).toBe(runner.client.instance);
  });
});
