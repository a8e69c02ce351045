import { createHash } from "node:crypto";
import { expect } from "vitest";
import type { ExecOptions, Sandbox } from "../../../src/sandbox/sandbox.ts";
import { bash, eventually, textOf } from "../../support/backends.ts";
import type { Behaviour } from "../../support/subject.ts";

/** Calls that are the caller's mistake. */
const MISTAKES: readonly (readonly [string, readonly string[], ExecOptions])[] = [
  ["a call id with a slash", ["true"], { callId: "a/b", timeoutMs: 1_000 }],
  ["a NUL byte in an argument", ["true\0"], { callId: "x", timeoutMs: 1_000 }],
  ["no program", [], { callId: "x", timeoutMs: 1_000 }],
  ["a relative folder", ["true"], { callId: "x", timeoutMs: 1_000, cwd: "work" }],
  ["an endless time-out", ["true"], { callId: "x", timeoutMs: Number.POSITIVE_INFINITY }],
  ["a variable's name with =", ["true"], { callId: "x", timeoutMs: 1_000, env: { "A=B": "" } }],
];

export const commands: readonly Behaviour[] = [
  {
    name: "answers with its exit code",
    check: async (subject) => {
      const sandbox = await subject.shared();
      expect(await bash(sandbox, "exit 0")).toMatchObject({ exitCode: 0, timedOut: false, interrupted: false });
      expect(await bash(sandbox, "exit 37")).toMatchObject({ exitCode: 37 });
    },
  },
  {
    name: "that a signal ended answers with the signal",
    check: async (subject) => {
      const result = await bash(await subject.shared(), "kill -TERM $$");
      expect(result.signal).toBe(15);
      expect(result.exitCode).toBeUndefined();
    },
  },
  {
    name: "with an exit code above 128 of its own was ended by no signal",
    check: async (subject) => {
      const result = await bash(await subject.shared(), "exit 143");
      expect([result.exitCode, result.signal]).toEqual([143, undefined]);
    },
  },
  {
    name: "that cannot be found is a result with 126 or 127, not an error",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const result = await sandbox.exec(["no-such-program"], { callId: "missing", timeoutMs: 60_000 });
      expect([126, 127]).toContain(result.exitCode);
    },
  },
  {
    name: "that may not be executed is a result with 126, not an error",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const program = `${sandbox.workdir}/file`;
      const result = await sandbox.exec([program], { callId: "not-a-program", timeoutMs: 60_000 });
      expect(result.exitCode).toBe(126);
    },
  },
  {
    name: "gets its words as they are",
    check: async (subject) => {
      const words = ["", "two words", "$HOME `id` *", "'\"\\", "a\nline", "ünïcode ✓", "--", "-n", "\t"];
      const sandbox = await subject.shared();
      const argv = ["bash", "-c", 'printf "<%s>" "$@"', "words", ...words];
      const result = await sandbox.exec(argv, { callId: "words", timeoutMs: 60_000 });
      expect(textOf(result, "stdout")).toBe(words.map((word) => `<${word}>`).join(""));
    },
  },
  {
    name: "may be 100 KB long",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const argv = ["bash", "-c", `echo \${#1}`, "long", "x".repeat(100_000)];
      expect(textOf(await sandbox.exec(argv, { callId: "long-word", timeoutMs: 60_000 }), "stdout")).toBe("100000\n");
    },
  },
  {
    name: "starts in the workdir, or where it is told",
    check: async (subject) => {
      const sandbox = await subject.shared();
      expect((await bash(sandbox, "cat file; pwd")).stdout).toBe(`from the layer\n${sandbox.workdir}\n`);
      const inside = `${sandbox.locate("/work")}/folder`;
      expect((await bash(sandbox, "pwd", { cwd: "/work/folder" })).stdout.trim()).toBe(inside);
    },
  },
  {
    name: "in a folder that is gone starts in / and says so",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const result = await bash(sandbox, "pwd", { cwd: "/work/nowhere" });
      expect(result.stdout).toBe(`${sandbox.locate("/")}\n`);
      expect(result.stderr).not.toBe("");
    },
  },
  {
    name: "has the environment it is given and no other",
    check: async (subject) => {
      const env = { PATH: "/usr/bin:/bin", ONE: "two words\nand a line" };
      const sandbox = await subject.shared();
      const result = await bash(sandbox, 'printf %s "$ONE"; env | grep -c SANDLOT', { env });
      expect(result.stdout).toBe("two words\nand a line0\n");
    },
  },
  {
    name: "has nothing of the server's environment, nor of who logs in",
    check: async (subject) => {
      const names = "env -0 | tr '\\n' ' ' | tr '\\0' '\\n' | sed 's/=.*//' | sort | tr '\\n' ' '";
      const { stdout } = await bash(await subject.shared(), names, { env: { PATH: "/usr/bin:/bin" } });
      // The last three are the shell's own.
      const allowed = ["PATH", "TMPDIR", "PWD", "SHLVL", "_"];
      expect(
        stdout
          .trim()
          .split(" ")
          .filter((name) => !allowed.includes(name)),
      ).toEqual([]);
    },
  },
  {
    name: "has no terminal",
    check: async (subject) => {
      const { exitCode } = await bash(await subject.shared(), "test ! -t 0 && test ! -t 1 && test ! -t 2");
      expect(exitCode).toBe(0);
    },
  },
  {
    name: "is root of its own",
    needs: ["isolation"],
    check: async (subject) => {
      const { stdout } = await bash(await subject.shared(), "id -u; chown 0:0 file; mkdir -p /opt/mine && echo made");
      expect(stdout).toBe("0\nmade\n");
    },
  },
  {
    name: "reads what it is given on stdin, then its end",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const result = await bash(sandbox, "wc -c", { stdin: Buffer.alloc(300_000, "y") });
      expect(result.stdout.trim()).toBe("300000");
      expect((await bash(sandbox, "cat; echo done")).stdout).toBe("done\n");
    },
  },
  {
    name: "reads 8 MiB of any bytes on stdin",
    check: async (subject) => {
      const stdin = Buffer.from(Array.from({ length: 8 * 1_048_576 }, (_, at) => (at * 31 + (at >> 8)) % 256));
      const { stdout } = await bash(await subject.shared(), "sha256sum", { stdin });
      expect(stdout.slice(0, 64)).toBe(createHash("sha256").update(stdin).digest("hex"));
    },
  },
  {
    name: "need not read its stdin",
    check: async (subject) => {
      const stdin = Buffer.alloc(4 * 1_048_576, "unread ");
      expect(await bash(await subject.shared(), "exit 5", { stdin })).toMatchObject({ exitCode: 5, timedOut: false });
    },
  },
  {
    name: "runs beside others",
    check: async (subject) => {
      const sandbox = await subject.shared();
      // Each waits for all the others.
      const all = 8;
      const script = (at: number): string =>
        `mkdir -p met; touch met/${at}; until [ "$(ls met | wc -l)" = ${all} ]; do sleep 0.05; done; echo ${at}`;
      const results = await Promise.all(Array.from({ length: all }, (_, at) => bash(sandbox, script(at))));
      expect(results.map((result) => result.stdout.trim())).toEqual(["0", "1", "2", "3", "4", "5", "6", "7"]);
    },
  },
  {
    name: "runs once under one call id, however often it is asked for",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const once = (): Promise<{ stdout: string }> =>
        bash(sandbox, "echo x >> once; sleep 0.3; cat once", { callId: "once" });
      const [first, second] = await Promise.all([once(), once()]);
      const later = await once();
      expect([first.stdout, second.stdout, later.stdout]).toEqual(["x\n", "x\n", "x\n"]);
      sandbox.acknowledge("once");
      expect((await once()).stdout).toBe("x\nx\n");
    },
  },
  {
    name: "that comes again with another stdin reads its own",
    check: async (subject) => {
      const sandbox = await subject.shared();
      for (const word of ["first", "second", "third"]) {
        // It ends at a NUL byte, or at its end.
        const script = "IFS= read -r -d '' all; printf %s \"$all\"";
        const again = await bash(sandbox, script, { stdin: Buffer.from(word), repeats: true });
        expect([again.stdout, again.exitCode]).toEqual([word, 0]);
      }
    },
  },
  {
    name: "that is announced is run by a shell that waits for it already",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const argv = ["bash", "-c", "IFS= read -r -d '' word; echo $$ $word; : announced-once"];
      const options = { timeoutMs: 120_000, captureState: true };
      await sandbox.exec(argv, { ...options, callId: "announced", repeats: "ahead" });
      sandbox.acknowledge("announced");
      const waits =
        "until pids=$(grep -l 'announced-onc[e]' /proc/[0-9]*/cmdline 2>/dev/null); do sleep 0.02; done; echo $pids";
      const waiting = [...(await bash(sandbox, waits)).stdout.matchAll(/\d+/g)].map(([pid]) => pid);
      const stdin = Buffer.from("hello");
      const ran = await sandbox.exec(argv, { ...options, callId: "comes", stdin, repeats: true });
      const [pid, word] = Buffer.concat(ran.output.map(({ data }) => data))
        .toString()
        .trim()
        .split(" ");
      expect(word).toBe("hello");
      expect(waiting).toContain(pid);
    },
  },
  {
    name: "gives its state back through descriptor 9",
    check: async (subject) => {
      const result = await bash(await subject.shared(), "echo kept >&9", { captureState: true });
      expect(Buffer.from(result.state ?? []).toString()).toBe("kept\n");
    },
  },
  {
    name: "goes on when nobody waits for it any more",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const stop = new AbortController();
      const waiting = bash(sandbox, "sleep 0.5; echo finished", { callId: "alone", signal: stop.signal });
      stop.abort(new Error("gone"));
      await expect(waiting).rejects.toThrow("gone");
      expect((await bash(sandbox, "sleep 0.5; echo finished", { callId: "alone" })).stdout).toBe("finished\n");
    },
  },
  {
    name: "leaves what it began in the background to the commands after it",
    check: async (subject) => {
      const sandbox = await subject.shared();
      const { stdout } = await bash(sandbox, "(until [ -e stop ]; do sleep 0.02; done; echo stopped > told) & echo $!");
      expect((await bash(sandbox, `kill -0 ${stdout.trim()} && touch stop`)).exitCode).toBe(0);
      await eventually("it stopped", async () => (await bash(sandbox, "cat told")).stdout === "stopped\n");
    },
  },
  ...MISTAKES.map(([what, argv, options]) => ({
    name: `with ${what} is refused as invalid`,
    check: async (subject: { shared(): Promise<Sandbox> }) => {
      const sandbox = await subject.shared();
      await expect(sandbox.exec(argv, options)).rejects.toMatchObject({ fault: "invalid" });
    },
  })),
];
