import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Backend, SandboxSpec } from "../../src/sandbox/sandbox.ts";
import { availableVariants, bash, eventually, newPlace, type Place, specIn } from "../support/backends.ts";
import { leftovers } from "../support/leftovers.ts";

const OWNER = join(import.meta.dirname, "../support/sandbox-owner.ts");

for (const variant of await availableVariants()) {
  describe(`${variant.name}, after its server was killed`, () => {
    test("a sandbox, its running command and its files are there for the next server", async () => {
      await using place = newPlace(variant);
      const spec = specIn(place);
      const script = "echo begun; echo once >> log; sleep 1.5; echo ended; cat log";
      await killedOwner(place, spec, script);
      const backend = await place.open();
      expect(await backend.list()).toEqual([spec.id]);
      const sandbox = await backend.reopen(spec.id);
      if (sandbox === undefined) throw new Error("it did not survive");
      const result = await bash(sandbox, script, { callId: "long", timeoutMs: 60_000 });
      expect(result.stdout).toBe("begun\nended\nonce\n");
      expect([sandbox.workdir, sandbox.limits]).toEqual([sandbox.locate("/work"), spec.limits]);
      await sandbox.dispose();
      expect(await backend.list()).toEqual([]);
      await backend.close();
      expect(leftovers(place.stateDir, place.instance)).toEqual([]);
    });

    test("one that nobody wants is removed, and one that was frozen too", async () => {
      await using place = newPlace(variant);
      const spec = specIn(place);
      await killedOwner(place, spec, "echo begun; (trap '' TERM; sleep 60) & sleep 60");
      const backend = await place.open();
      await (await backend.reopen(spec.id))?.freeze();
      await Promise.all([backend.remove(spec.id), backend.remove(spec.id)]);
      await backend.remove(spec.id);
      expect([await backend.reopen(spec.id), await backend.list()]).toEqual([undefined, []]);
      await backend.close();
      expect(leftovers(place.stateDir, place.instance)).toEqual([]);
    });

    test.each([5, 40])("what was half made %d ms into a create can be found and removed", async (afterMs) => {
      await using place = newPlace(variant);
      const spec = specIn(place);
      const owner = startOwner(place, spec, "echo begun; sleep 60");
      const folder = join(place.stateDir, "sandboxes", spec.id);
      const { existsSync } = await import("node:fs");
      await eventually("it began to make it", () => existsSync(folder));
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      await kill(owner);
      const backend = await place.open();
      for (const id of await backend.list()) await backend.remove(id);
      await eventually("nothing is left", async () => {
        for (const id of await backend.list()) await backend.remove(id);
        return leftovers(place.stateDir, place.instance).every((line) => line.endsWith(`/sandlot-${place.instance}`));
      });
      await backend.close();
      expect(leftovers(place.stateDir, place.instance)).toEqual([]);
    });

    test.runIf(variant.options.type === "oci")(
      "control groups that hold nothing are gone at the next start",
      async () => {
        await using place = newPlace(variant);
        const spec = specIn(place);
        const groups = () => leftovers(place.stateDir, place.instance).filter((line) => line.startsWith("cgroup"));
        await killedOwner(place, spec, "echo begun; sleep 60");
        const backend = await place.open();
        expect(groups()).not.toEqual([]); // a sandbox lives in them
        await backend.close();
        endAll(place.instance, spec.id);
        await eventually("all of it is dead", () => processesOf(place.instance, spec.id).length === 0);
        const next = await place.open();
        expect(groups()).toEqual([]);
        expect(await next.list()).toEqual([spec.id]);
        await next.remove(spec.id);
        await worksIn(next, specIn(place));
        await next.close();
        expect(leftovers(place.stateDir, place.instance)).toEqual([]);
      },
    );

    test("a folder without a readable record is listed, not opened, and removed", async () => {
      await using place = newPlace(variant);
      const { id } = specIn(place);
      mkdirSync(join(place.stateDir, "sandboxes", id), { recursive: true });
      writeFileSync(join(place.stateDir, "sandboxes", id, "sandbox.json"), '{"version":1,"spe');
      const backend = await place.open();
      expect([await backend.list(), await backend.reopen(id)]).toEqual([[id], undefined]);
      await backend.remove(id);
      await backend.close();
      expect(leftovers(place.stateDir, place.instance)).toEqual([]);
    });
  });
}

async function worksIn(backend: Backend, spec: SandboxSpec): Promise<void> {
  const sandbox = await backend.create(spec);
  expect((await bash(sandbox, "echo here")).stdout).toBe("here\n");
  await sandbox.dispose();
}

/** As an out-of-memory killer may do, with no server alive. */
function endAll(instance: string, id: string): void {
  for (const pid of processesOf(instance, id)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it went with the first process
    }
  }
}

function processesOf(instance: string, id: string): readonly number[] {
  const path = `/sandlot-${instance}/${id}`;
  const isThere = (pid: string): boolean => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(path);
    } catch {
      return false;
    }
  };
  return readdirSync("/proc").filter(isThere).map(Number);
}

function startOwner(place: Place, spec: SandboxSpec, script: string): ChildProcess {
  const message = JSON.stringify({ options: place.options, spec, script });
  return spawn(process.execPath, [OWNER, message], { stdio: ["ignore", "pipe", "inherit"] });
}

/** Resolves when the command has begun and its owner is dead. */
async function killedOwner(place: Place, spec: SandboxSpec, script: string): Promise<void> {
  const owner = startOwner(place, spec, script);
  let told = "";
  owner.stdout?.on("data", (data: Buffer) => {
    told += data.toString();
  });
  await eventually("the command began", () => told.includes(spec.id), 20_000);
  await kill(owner);
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}
