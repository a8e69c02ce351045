import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isErrno, lives } from "../../src/sandbox/identity.ts";
import type { SandboxRecord } from "../../src/sandbox/record.ts";
import { availableVariants, bash, eventually, newPlace, specIn } from "../support/backends.ts";
import { leftovers } from "../support/leftovers.ts";

/** What backends on this host keep of each sandbox in their folder, and what a next start finds there. */
const variants = (await availableVariants()).filter(({ options }) => !("disk" in options && options.disk === "loop"));

for (const variant of variants) {
  describe(`${variant.name}, at the next start`, () => {
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

    test("a first process that the last server had no time to note down is gone when the removal is done", async () => {
      await using place = newPlace(variant);
      const spec = specIn(place);
      const backend = await place.open();
      await backend.create(spec);
      await backend.close();
      const path = join(place.stateDir, "sandboxes", spec.id, "sandbox.json");
      const { identity, ...before } = JSON.parse(readFileSync(path, "utf8")) as SandboxRecord;
      if (identity === undefined) throw new Error("a record with an identity was expected");
      writeFileSync(path, JSON.stringify(before));
      const next = await place.open();
      expect(lives(identity)).toBe(true);
      await next.remove(spec.id);
      expect(lives(identity)).toBe(false);
      await next.close();
      expect(leftovers(place.stateDir, place.instance)).toEqual([]);
    });

    test.runIf(variant.options.type === "oci")("control groups that hold nothing are gone", async () => {
      await using place = newPlace(variant);
      const spec = specIn(place);
      const groups = () => leftovers(place.stateDir, place.instance).filter((line) => line.startsWith("cgroup"));
      const backend = await place.open();
      await backend.create(spec);
      await backend.close();
      expect(groups()).not.toEqual([]); // a sandbox lives in them
      endAll(place.instance, spec.id);
      await eventually("all of it is dead", () => processesOf(place.instance, spec.id).length === 0);
      const next = await place.open();
      expect(groups()).toEqual([]);
      expect(await next.list()).toEqual([spec.id]);
      await next.remove(spec.id);
      const sandbox = await next.create(specIn(place));
      expect((await bash(sandbox, "echo here")).stdout).toBe("here\n");
      await sandbox.dispose();
      await next.close();
      expect(leftovers(place.stateDir, place.instance)).toEqual([]);
    });
  });
}

/** As an out-of-memory killer may do, with no server alive. */
function endAll(instance: string, id: string): void {
  for (const pid of processesOf(instance, id)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if (!isErrno(error, "ESRCH")) throw error; // it went with the first process
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
