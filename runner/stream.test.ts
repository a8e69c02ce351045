import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { RunnerGone } from "../src/sandbox/runner/client.ts";
import { leaveOut } from "../test/support/required.ts";
import { bash, eventually, freshId, noContainerBecause, text } from "./started.ts";
import { startStreamedRunner } from "./streamed.ts";

const noContainer = noContainerBecause();
if (noContainer !== undefined) leaveOut("hostile commands on a byte stream", "oci", noContainer);

describe("a runner on a byte stream", () => {
  it("runs commands and moves files as one on a socket", async () => {
    await using runner = await startStreamedRunner("process");
    const client = await runner.connect();
    const result = await bash(client, "cat; echo err >&2; exit 3", { stdin: Buffer.from("in\n") });
    expect([text(result, "stdout"), text(result, "stderr"), result.exitCode]).toEqual(["in\n", "err\n", 3]);
    const bytes = randomBytes(20_000_000);
    const path = join(runner.folder, "file");
    expect(await client.writeFile(path, bytes, { callId: freshId() })).toEqual({});
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(Buffer.from((await client.readFile(path, { callId: freshId() })).data).equals(bytes)).toBe(true);
  });

  it("gives its kept results to a client that comes after another, once the secret has come again", async () => {
    await using runner = await startStreamedRunner("process");
    const first = await runner.connect();
    const callId = freshId();
    const go = join(runner.folder, "go");
    const script = `echo ran >> ran; echo a; until [ -e ${go} ]; do sleep 0.01; done; echo b`;
    const options = { callId, cwd: runner.folder };
    const waiting = expect(bash(first, script, options)).rejects.toBeInstanceOf(RunnerGone);
    await eventually("it runs", () => existsSync(join(runner.folder, "ran")));
    await first.close();
    await waiting;
    writeFileSync(go, "");
    const second = await runner.connect();
    expect(second.instance).toBe(first.instance);
    expect(text(await bash(second, script, options))).toBe("a\nb\n");
    expect(readFileSync(join(runner.folder, "ran"), "utf8")).toBe("ran\n");
  });

  it("drops the half frame of a client that died, wherever it was cut", async () => {
    await using runner = await startStreamedRunner("process");
    for (const size of [1, 7, 8, 11, 12, 13, 40, 200_000]) {
      await (await runner.connect()).close();
      const frame = Buffer.alloc(size, 7);
      if (size >= 4) frame.writeUInt32LE(3_000_000, 0);
      runner.engine.write(frame);
      runner.engine.write(runner.secret.subarray(0, size % 32));
      expect(text(await bash(await runner.connect(), `echo ${size}`))).toBe(`${size}\n`);
    }
  });

  it("finds the secret also where it comes in pieces, or twice, or after its own beginning", async () => {
    await using runner = await startStreamedRunner("process");
    for (const at of [1, 8, 31]) {
      runner.engine.write(runner.secret.subarray(0, at));
      runner.engine.write(runner.secret);
      runner.engine.write(runner.secret.subarray(at - 1));
      const client = await runner.connect();
      expect(text(await bash(client, "echo alive"))).toBe("alive\n");
      await client.close();
    }
  });

  it("goes on with every call when the connection breaks in the middle of what it writes", async () => {
    await using runner = await startStreamedRunner("process");
    const client = await runner.connect();
    let cuts = 0;
    let since = 0;
    runner.engine.onBytes = (bytes) => {
      since += bytes.length;
      if (cuts >= 4 || since < 150_000) return;
      [cuts, since] = [cuts + 1, 0];
      for (const each of runner.engine.attached) {
        each.push(bytes.subarray(0, bytes.length / 2));
        each.destroy();
      }
    };
    const result = await bash(client, "head -c 1000000 /dev/zero | tr '\\0' x; echo end", { keepBytes: 2_000_000 });
    expect(cuts).toBe(4);
    expect(text(result)).toBe(`${"x".repeat(1_000_000)}end\n`);
  });

  it("takes nothing that an engine brings late of a connection that is over", async () => {
    await using runner = await startStreamedRunner("process");
    const client = await runner.connect();
    const instance = client.instance;
    // A whole frame, SHUTDOWN, as the one before would have sent it.
    runner.engine.write(Buffer.concat([Buffer.alloc(8, 0xff), Buffer.from([2, 0, 0, 0, 9, 0])]));
    expect(text(await bash(client, "echo alive"))).toBe("alive\n");
    const again = await runner.connect();
    expect(again.instance).toBe(instance);
  });

  it("is brought back by a client when what it gets is no frame", async () => {
    await using runner = await startStreamedRunner("process");
    const client = await runner.connect();
    const result = bash(client, "sleep 0.2; echo done");
    runner.engine.write(Buffer.alloc(100, 0xff));
    expect(text(await result)).toBe("done\n");
  });

  it("ends when nobody can reach it any more, and says so to those who wait", async () => {
    await using runner = await startStreamedRunner("process");
    const client = await runner.connect();
    const waiting = expect(bash(client, "sleep 100")).rejects.toBeInstanceOf(RunnerGone);
    await client.shutdown();
    await waiting;
    await expect(runner.connect()).rejects.toBeInstanceOf(RunnerGone);
  });

  it("brings large output live and whole", async () => {
    await using runner = await startStreamedRunner("process");
    const client = await runner.connect();
    let bytes = 0;
    const result = await bash(client, "head -c 30000000 /dev/zero", {
      keepBytes: 60_000_000,
      onOutput: (chunk) => {
        bytes += chunk.data.length;
      },
    });
    expect([bytes, result.outputBytes]).toEqual([30_000_000, 30_000_000]);
  });
});

describe.skipIf(noContainer !== undefined).each(["container", "isolated"] as const)(
  "commands in a sandbox (%s)",
  (kind) => {
    it("can neither read the stream, nor write to it, nor learn its secret", async () => {
      await using runner = await startStreamedRunner(kind);
      const client = await runner.connect();
      const heard: Buffer[] = [];
      runner.engine.onBytes = (bytes) => heard.push(bytes);
      const script = `for p in 1 $PPID self; do for f in fd/0 fd/1 fd/3 fd/4 mem environ; do
        [ $p = self ] && [ $f != fd/3 ] && [ $f != fd/4 ] && continue
        (echo forged-$f > /proc/$p/$f) 2>/dev/null && echo "WROTE $p $f"
        (head -c 1 < /proc/$p/$f) 2>/dev/null && echo "READ $p $f"
      done; done
      ls -l /proc/self/fd | grep -c -e 'pipe:\\|socket:'; grep -c . /proc/net/unix; kill -9 1; kill -STOP 1; echo end`;
      const result = await bash(client, script);
      expect(text(result, "stdout")).toMatch(/^2\n1\nend\n$/); // its own output, one of which is the pipe to grep
      expect(Buffer.concat(heard).includes("forged-")).toBe(false);
      expect(text(await bash(client, "echo alive"))).toBe("alive\n");
    });

    it("die all when told, and leave the stream to the others", async () => {
      await using runner = await startStreamedRunner(kind);
      const client = await runner.connect();
      const result = await bash(client, "trap '' TERM; (setsid sleep 1000 &); sleep 1000", { timeoutMs: 300 });
      expect(result.timedOut).toBe("command");
      const left = await bash(client, "kill -9 -1; sleep 1000");
      expect(left.signal).toBe(9);
      const count = async () => text(await bash(client, "ls /proc | grep -c '^[0-9]'"));
      await eventually("only the question is left", async () => (await count()) === "5\n");
    });
  },
);

describe.skipIf(process.getuid?.() !== 0)("a runner that makes its own namespaces", () => {
  it("shows commands no process beside it, no network, few devices and few privileges", async () => {
    await using runner = await startStreamedRunner("isolated");
    const client = await runner.connect();
    const script = `cat /proc/1/comm; ls /proc | grep -c '^[0-9]'; grep -E '^(CapBnd|CapEff|NoNewPrivs)' /proc/self/status | tr '\\n\\t' ' :'
      echo; ls /sys /run | wc -l; ls /dev | tr '\\n' ' '; echo; cat /proc/net/dev | grep -c :; hostname
      echo 1 2>/dev/null >/proc/sys/kernel/panic || echo read-only; mount -t tmpfs none /mnt 2>/dev/null || echo no mount`;
    const lines = text(await bash(client, script), "stdout").split("\n");
    expect(lines).toEqual([
      "init",
      expect.stringMatching(/^[45]$/), // with the counting itself, which may not have begun
      "CapEff::00000000000004fb CapBnd::00000000000004fb NoNewPrivs::1 ",
      expect.stringMatching(/^[34]$/),
      "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero ",
      "1",
      "sandbox",
      "read-only",
      "no mount",
      "",
    ]);
  });

  it("dies with the process that was started", async () => {
    await using runner = await startStreamedRunner("isolated");
    const client = await runner.connect();
    const pid = Number(text(await bash(client, "echo $$")));
    expect(pid).toBeLessThan(100);
    const waiting = expect(bash(client, "sleep 778.5")).rejects.toBeInstanceOf(RunnerGone);
    await runner[Symbol.asyncDispose]();
    await waiting;
  });
});
