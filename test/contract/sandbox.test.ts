import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LEAST_LIMITS } from "../../src/config.ts";
import type { Backend, Sandbox, SandboxSpec } from "../../src/sandbox/sandbox.ts";
import { availableVariants, bash, eventually, newPlace, type Place, specIn } from "../support/backends.ts";
import { leftovers } from "../support/leftovers.ts";

const MiB = 1_048_576;

for (const variant of await availableVariants()) {
  describe(variant.name, () => {
    let place: Place;
    let backend: Backend;
    let shared: Sandbox;

    beforeAll(async () => {
      place = newPlace(variant);
      backend = await place.open();
      shared = await backend.create(specIn(place));
    });

    afterAll(async () => {
      await shared.dispose();
      const left = await backend.list();
      await backend.close();
      expect([left, leftovers(place.stateDir, place.instance)]).toEqual([[], []]);
      await place[Symbol.asyncDispose]();
    });

    async function withSandbox(
      changes: Partial<SandboxSpec>,
      work: (sandbox: Sandbox) => Promise<void>,
    ): Promise<void> {
      const sandbox = await backend.create(specIn(place, changes));
      try {
        await work(sandbox);
      } finally {
        await sandbox.dispose();
      }
    }

    describe("a command", () => {
      test("answers with its exit code", async () => {
        expect(await bash(shared, "exit 0")).toMatchObject({ exitCode: 0, timedOut: false, interrupted: false });
        expect(await bash(shared, "exit 37")).toMatchObject({ exitCode: 37 });
      });

      test("that a signal ended answers with the signal", async () => {
        const result = await bash(shared, "kill -TERM $$");
        expect(result.signal).toBe(15);
        expect(result.exitCode).toBeUndefined();
      });

      test("that cannot be found is a result with 126 or 127, not an error", async () => {
        const result = await shared.exec(["no-such-program"], { callId: "missing", timeoutMs: 5_000 });
        expect([126, 127]).toContain(result.exitCode);
      });

      test("keeps stdout and stderr apart, and their order of arrival", async () => {
        const result = await bash(shared, "echo one; sleep 0.2; echo two >&2; sleep 0.2; echo three");
        expect(result.stdout).toBe("one\nthree\n");
        expect(result.stderr).toBe("two\n");
        expect(result.output.map((chunk) => chunk.stream)).toEqual(["stdout", "stderr", "stdout"]);
      });

      test("tells its output while it runs", async () => {
        const seen: string[] = [];
        const told = bash(shared, "echo early; sleep 30", {
          callId: "live",
          onOutput: (chunk) => seen.push(Buffer.from(chunk.data).toString()),
        });
        await eventually("the output was told", () => seen.join("") === "early\n");
        await shared.interrupt("live");
        expect((await told).interrupted).toBe(true);
      });

      test("gives bytes back as they are", async () => {
        const result = await bash(shared, "printf '\\0\\377\\n\\200x'");
        const bytes = Buffer.concat(result.output.map((chunk) => chunk.data));
        expect([...bytes]).toEqual([0, 255, 10, 128, 120]);
      });

      test("that prints 100 MiB is drained to its end, and head and tail are kept", async () => {
        const result = await bash(shared, `echo first; head -c ${100 * MiB} /dev/zero | tr '\\0' x; echo; echo last`);
        expect(result.exitCode).toBe(0);
        expect(result.outputBytes).toBe(100 * MiB + "first\n\nlast\n".length);
        expect(result.truncated).toBe(true);
        expect(result.stdout.length).toBeLessThanOrEqual(MiB);
        expect(result.stdout.startsWith("first\nxxx")).toBe(true);
        expect(result.stdout.endsWith("xxx\nlast\n")).toBe(true);
      });

      test("spills what is not kept into a file inside", async () => {
        const result = await bash(shared, "seq 1 200000", { keepBytes: 4_096, spillBytes: 16 * MiB });
        expect(result.truncated).toBe(true);
        const counted = await bash(shared, `wc -l < ${result.spillPath}`);
        expect(counted.stdout.trim()).toBe("200000");
      });

      test("reads what it is given on stdin, then its end", async () => {
        const result = await bash(shared, "wc -c", { stdin: Buffer.alloc(300_000, "y") });
        expect(result.stdout.trim()).toBe("300000");
        expect((await bash(shared, "cat; echo done")).stdout).toBe("done\n");
      });

      test("starts in the workdir, or where it is told", async () => {
        expect((await bash(shared, "cat file; pwd")).stdout).toBe(`from the layer\n${shared.workdir}\n`);
        const inside = `${shared.locate("/work")}/folder`;
        expect((await bash(shared, "pwd", { cwd: "/work/folder" })).stdout.trim()).toBe(inside);
      });

      test("in a folder that is gone starts in / and says so", async () => {
        const result = await bash(shared, "pwd", { cwd: "/work/nowhere" });
        expect(result.stdout).toBe(`${shared.locate("/")}\n`);
        expect(result.stderr).not.toBe("");
      });

      test("has the environment it is given and no other", async () => {
        const env = { PATH: "/usr/bin:/bin", ONE: "two words\nand a line" };
        const result = await bash(shared, 'printf %s "$ONE"; env | grep -c SANDLOT', { env });
        expect(result.stdout).toBe("two words\nand a line0\n");
      });

      test("past its time-out is ended, and what it printed is kept", async () => {
        const result = await bash(shared, "echo partial; sleep 60", { timeoutMs: 300 });
        expect(result.timedOut).toBe("command");
        expect(result.stdout).toBe("partial\n");
        expect(result.durationMs).toBeLessThan(5_000);
      });

      test("that prints nothing for too long is ended", async () => {
        const result = await bash(shared, "echo partial; sleep 60", { noOutputTimeoutMs: 300 });
        expect(result.timedOut).toBe("no_output");
        expect(result.stdout).toBe("partial\n");
      });

      test("does not wait for a child that holds its stdout", async () => {
        const result = await bash(shared, "sleep 60 & echo started", { timeoutMs: 10_000 });
        expect(result).toMatchObject({ exitCode: 0, timedOut: false, stdout: "started\n" });
        expect(result.durationMs).toBeLessThan(5_000);
      });

      test("is interrupted with its whole tree", async () => {
        let started = false;
        const running = bash(shared, "sleep 61 & echo go; sleep 62", {
          callId: "tree",
          onOutput: () => {
            started = true;
          },
        });
        await eventually("it runs", () => started);
        await shared.interrupt("tree");
        expect((await running).interrupted).toBe(true);
        expect((await bash(shared, "pgrep -cf 'sleep 6[12]$'")).stdout.trim()).toBe("0");
      });

      test("runs beside others", async () => {
        const started = performance.now();
        const results = await Promise.all(Array.from({ length: 8 }, (_, at) => bash(shared, `sleep 0.5; echo ${at}`)));
        expect(results.map((result) => result.stdout.trim())).toEqual(["0", "1", "2", "3", "4", "5", "6", "7"]);
        expect(performance.now() - started).toBeLessThan(3_500);
      });

      test("runs once under one call id, however often it is asked for", async () => {
        const once = (): Promise<{ stdout: string }> =>
          bash(shared, "echo x >> once; sleep 0.3; cat once", { callId: "once" });
        const [first, second] = await Promise.all([once(), once()]);
        const later = await once();
        expect([first.stdout, second.stdout, later.stdout]).toEqual(["x\n", "x\n", "x\n"]);
        shared.acknowledge("once");
        expect((await once()).stdout).toBe("x\nx\n");
      });

      test("gives its state back through descriptor 9", async () => {
        const result = await bash(shared, "echo kept >&9", { captureState: true });
        expect(Buffer.from(result.state ?? []).toString()).toBe("kept\n");
      });

      test("goes on when nobody waits for it any more", async () => {
        const stop = new AbortController();
        const waiting = bash(shared, "sleep 0.5; echo finished", { callId: "alone", signal: stop.signal });
        stop.abort(new Error("gone"));
        await expect(waiting).rejects.toThrow("gone");
        expect((await bash(shared, "sleep 0.5; echo finished", { callId: "alone" })).stdout).toBe("finished\n");
      });

      test.each([
        ["a call id with a slash", ["true"], { callId: "a/b", timeoutMs: 1_000 }],
        ["a NUL byte in an argument", ["true\0"], { callId: "x", timeoutMs: 1_000 }],
        ["no program", [], { callId: "x", timeoutMs: 1_000 }],
        ["a relative folder", ["true"], { callId: "x", timeoutMs: 1_000, cwd: "work" }],
        ["an endless time-out", ["true"], { callId: "x", timeoutMs: Number.POSITIVE_INFINITY }],
        ["a variable's name with =", ["true"], { callId: "x", timeoutMs: 1_000, env: { "A=B": "" } }],
      ])("with %s is refused as invalid", async (_what, argv, options) => {
        await expect(shared.exec(argv, options)).rejects.toMatchObject({ fault: "invalid" });
      });
    });

    describe("a file", () => {
      test("of 50 MiB is written and read back", async () => {
        const data = Buffer.alloc(50 * MiB, "sandlot ");
        expect(await shared.writeFile("/work/new/deep/large", data, { callId: "w-large" })).toEqual({});
        const { type, sizeBytes, data: read } = await shared.readFile("/work/new/deep/large", { callId: "r-large" });
        expect([type, sizeBytes, data.equals(read)]).toEqual(["file", data.length, true]);
        shared.acknowledge("r-large");
      });

      test("is read as far as asked, and its size is told", async () => {
        const read = await shared.readFile("/work/file", { callId: "r-some", maxBytes: 4 });
        expect([read.sizeBytes, Buffer.from(read.data).toString()]).toEqual([15, "from"]);
      });

      test("keeps the mode it is written with", async () => {
        await shared.writeFile("/work/script", Buffer.from("#!/bin/sh\necho ran\n"), { callId: "w-mode", mode: 0o755 });
        expect((await bash(shared, "./script")).stdout).toBe("ran\n");
      });

      test("that is absent, a folder or a FIFO is told as such and never blocks", async () => {
        await bash(shared, "mkfifo pipe; mkdir -p listed/sub; touch listed/plain");
        expect((await shared.readFile("/work/absent", { callId: "r-1" })).type).toBe("missing");
        expect((await shared.readFile("/work/pipe", { callId: "r-2" })).type).toBe("other");
        const folder = await shared.readFile("/work/listed", { callId: "r-3" });
        expect(folder.type).toBe("directory");
        expect(Buffer.from(folder.data).toString().trim().split("\n").sort()).toEqual(["plain", "sub/"]);
      });

      test("that cannot be written is answered with words", async () => {
        const { failure } = await shared.writeFile("/work/file/below", Buffer.from("x"), { callId: "w-bad" });
        expect(failure).toMatch(/\w+/);
      });
    });

    describe("a life", () => {
      test("ends however often and however busily it is ended, and calls after it say so", async () => {
        const sandbox = await backend.create(specIn(place));
        let started = false;
        const running = bash(sandbox, "echo go; sleep 60 & sleep 60", {
          onOutput: () => {
            started = true;
          },
        });
        const ending = expect(running).rejects.toMatchObject({ fault: "ended" });
        await eventually("it runs", () => started);
        await Promise.all([sandbox.dispose(), sandbox.dispose(), backend.remove(sandbox.id)]);
        await ending;
        await sandbox.dispose();
        await expect(bash(sandbox, "true")).rejects.toMatchObject({ fault: "ended" });
        expect(await sandbox.alive()).toBe(false);
        expect(await backend.list()).not.toContain(sandbox.id);
      });

      test("that cannot begin leaves nothing", async () => {
        const spec = specIn(place, { layers: [`${place.layer}/absent`] });
        await expect(backend.create(spec)).rejects.toMatchObject({ name: "SandlotError" });
        expect(await backend.list()).not.toContain(spec.id);
      });

      test.each([0, 3, 10, 25])("whose beginning is cancelled after %d ms leaves nothing", async (afterMs) => {
        const spec = specIn(place);
        const made = backend.create(spec, AbortSignal.timeout(afterMs)).then((sandbox) => sandbox.dispose());
        await made.catch((error: unknown) => expect(error).toBeInstanceOf(Error));
        expect(await backend.list()).not.toContain(spec.id);
      });

      test("has an id that only one can have", async () => {
        await expect(backend.create(specIn(place, { id: shared.id }))).rejects.toMatchObject({ fault: "invalid" });
      });

      test("does not touch the layers that it shares", async () => {
        await withSandbox({}, async (sandbox) => {
          await bash(sandbox, "echo changed > file; rm -r folder; mv file renamed");
          expect((await bash(sandbox, "ls")).stdout).toBe("renamed\n");
        });
        await withSandbox({}, async (sandbox) => {
          expect((await bash(sandbox, "ls; cat file")).stdout).toBe("file\nfolder\nfrom the layer\n");
        });
      });
    });

    test("the smallest limits that are taken let a shell run programs", async () => {
      const { memory_mib: memoryMiB, cpu_milli: cpuMilli, pids, disk_mib: diskMiB } = LEAST_LIMITS;
      await withSandbox({ limits: { memoryMiB, cpuMilli, pids, diskMiB } }, async (sandbox) => {
        const { exitCode, stdout } = await bash(sandbox, "ls | sort | head -1; echo x > written; cat written");
        expect([exitCode, stdout]).toEqual([0, "file\nx\n"]);
      });
    });

    describe("a frozen sandbox", () => {
      test("stands still until it is thawed", async () => {
        await withSandbox({}, async (sandbox) => {
          await bash(sandbox, "(while :; do echo x >> ticks; sleep 0.01; done) >/dev/null 2>&1 &");
          const size = async (): Promise<number> =>
            (await sandbox.readFile("/work/ticks", { callId: `t-${Math.random()}` })).sizeBytes;
          await eventually("it ticks", async () => (await size()) > 4);
          const before = await size();
          const frozen = await sandbox.freeze();
          const asked = bash(sandbox, "echo thawed");
          const early = await Promise.race([asked, new Promise((resolve) => setTimeout(resolve, 300, "still"))]);
          await frozen[Symbol.asyncDispose]();
          expect(early).toBe("still");
          expect((await asked).stdout).toBe("thawed\n");
          await eventually("it ticks again", async () => (await size()) > before + 4);
        });
      });

      test.each(["from the beginning", "afterwards"])(
        "is viewed by another, given the view %s, as it stands, deletions too, and cannot be changed through the view",
        async (when) => {
          const { attach } = backend;
          expect(attach !== undefined).toBe(variant.options.type === "oci");
          if (when === "afterwards" && attach === undefined) return;
          await withSandbox({}, async (viewed) => {
            await bash(viewed, "echo new > added; rm file; echo changed > folder/other");
            await using _frozen = await viewed.freeze();
            const view = { of: viewed.id, at: "/seen" };
            await withSandbox({ views: when === "afterwards" ? [] : [view] }, async (helper) => {
              if (when === "afterwards") await attach?.(helper.id, view);
              const at = helper.locate("/seen/work");
              const seen = await bash(helper, `cd ${at} && ls && cat added folder/other && echo mine > added`);
              expect(seen.stdout).toBe("added\nfolder\nnew\nchanged\n");
              if (!backend.capabilities.isolation) return;
              expect((await bash(helper, `cat ${at}/added; rm -rf ${at} 2>&1`)).stdout).toBe("mine\n");
            });
            await _frozen[Symbol.asyncDispose]();
            if (backend.capabilities.isolation) expect((await bash(viewed, "cat added")).stdout).toBe("new\n");
          });
        },
      );

      test("is attached only where nothing is, to a sandbox that is there, from one that is", async () => {
        const { attach } = backend;
        expect(attach !== undefined).toBe(variant.options.type === "oci");
        if (attach === undefined) return;
        await withSandbox({}, async (viewed) =>
          withSandbox({}, async (helper) => {
            const view = { of: viewed.id, at: "/seen" };
            const none = specIn(place).id;
            await expect(attach(helper.id, { ...view, at: "/work" })).rejects.toThrow("/work: File exists");
            await expect(attach(helper.id, { ...view, at: "relative" })).rejects.toMatchObject({ fault: "invalid" });
            await expect(attach(helper.id, { ...view, of: none })).rejects.toMatchObject({ fault: "not_found" });
            await expect(attach(none, view)).rejects.toMatchObject({ fault: "not_found" });
            expect((await bash(helper, "ls; ls -d /seen")).stdout).toBe("file\nfolder\n");
            await attach(helper.id, view);
            expect((await bash(helper, "ls /seen/work")).stdout).toBe("file\nfolder\n");
          }),
        );
      });
    });

    describe("a layer", () => {
      test("is what the builder wrote, deletions too", async () => {
        const target = `${place.stateDir}/layers/one`;
        await backend.buildLayer(specIn(place), target, async (sandbox) => {
          await bash(sandbox, "echo built > result; rm file; echo below > folder/more");
        });
        await withSandbox({ layers: [place.layer, target] }, async (sandbox) => {
          expect((await bash(sandbox, "ls -A . folder; cat result")).stdout).toBe(
            ".:\nfolder\nresult\n\nfolder:\nmore\nother\nbuilt\n",
          );
        });
      });

      test("that fails to build leaves nothing", async () => {
        const spec = specIn(place);
        const target = `${place.stateDir}/layers/two`;
        const failing = backend.buildLayer(spec, target, () => Promise.reject(new Error("no network")));
        await expect(failing).rejects.toThrow("no network");
        expect(await backend.list()).not.toContain(spec.id);
        await withSandbox({}, async (sandbox) => {
          expect((await sandbox.readFile("/work/result", { callId: "none" })).type).toBe("missing");
        });
      });
    });
  });
}
