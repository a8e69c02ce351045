import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { SandboxSpec } from "../../../src/sandbox/sandbox.ts";
import { bash, eventually, specIn } from "../../support/backends.ts";
import type { Behaviour, Subject } from "../../support/subject.ts";
import type { Place } from "../../support/variants.ts";

const OWNER = join(import.meta.dirname, "../../support/sandbox-owner.ts");

export const restarts: readonly Behaviour[] = [
  {
    name: "after a kill finds a sandbox, its running command and its files",
    needs: ["survivesServer"],
    check: async (subject) =>
      subject.withPlace(async (place) => {
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
        expect((await bash(sandbox, "cat log")).stdout).toBe("once\n");
        await sandbox.dispose();
        expect(await backend.list()).toEqual([]);
        await backend.close();
      }),
  },
  {
    name: "in good order finds a sandbox, and what it kept of a result",
    needs: ["survivesServer"],
    check: async (subject) =>
      subject.withPlace(async (place) => {
        const spec = specIn(place);
        const before = await place.open();
        const first = await bash(await before.create(spec), "echo once >> log; cat log", { callId: "kept" });
        await before.close();
        const backend = await place.open();
        const sandbox = await backend.reopen(spec.id);
        if (sandbox === undefined) throw new Error("it did not survive");
        const again = await bash(sandbox, "echo once >> log; cat log", { callId: "kept" });
        expect([first.stdout, again.stdout]).toEqual(["once\n", "once\n"]);
        await backend.remove(spec.id);
        await backend.close();
      }),
  },
  {
    name: "removes a sandbox that nobody wants, also a frozen one",
    check: async (subject) =>
      subject.withPlace(async (place) => {
        const spec = specIn(place);
        await killedOwner(place, spec, "echo begun; (trap '' TERM; sleep 60) & sleep 60");
        const backend = await place.open();
        await (await backend.reopen(spec.id))?.freeze();
        await Promise.all([backend.remove(spec.id), backend.remove(spec.id)]);
        await backend.remove(spec.id);
        expect([await backend.reopen(spec.id), await backend.list()]).toEqual([undefined, []]);
        await backend.close();
      }),
  },
  {
    name: "thaws a sandbox that its server left frozen",
    needs: ["survivesServer"],
    check: async (subject) =>
      subject.withPlace(async (place) => {
        const spec = specIn(place);
        const before = await place.open();
        const left = await before.create(spec);
        await left.freeze();
        await before.close();
        const backend = await place.open();
        const sandbox = await backend.reopen(spec.id);
        expect(sandbox && (await bash(sandbox, "cat file")).stdout).toBe("from the layer\n");
        await backend.remove(spec.id);
        await backend.close();
      }),
  },
  {
    name: "does not open a sandbox that was ended from outside meanwhile, lists it, and removes it",
    needs: ["survivesServer"],
    check: async (subject) =>
      subject.withPlace(async (place) => {
        const spec = specIn(place);
        const before = await place.open();
        await before.create(spec);
        await before.close();
        await place.endFromOutside(spec.id);
        const backend = await place.open();
        expect(await backend.reopen(spec.id)).toBeUndefined();
        await backend.remove(spec.id);
        expect(await backend.list()).toEqual([]);
        await backend.close();
      }),
  },
  ...[5, 40, 150].map((afterMs) => ({
    name: `finds and removes what was half made ${afterMs} ms into a create`,
    check: async (subject: Subject) =>
      subject.withPlace(async (place) => {
        const owner = startOwner(place, specIn(place), "echo begun; sleep 60");
        await told(owner, "creating");
        await sleep(afterMs);
        await kill(owner);
        const backend = await place.open();
        await eventually("nothing is listed any more", async () => {
          const listed = await backend.list();
          for (const id of listed) await backend.remove(id);
          return listed.length === 0;
        });
        await backend.close();
        expect(await place.leftovers()).toEqual([]);
      }),
  })),
];

function startOwner(place: Place, spec: SandboxSpec, script: string): ChildProcess {
  const message = JSON.stringify({ options: place.options, spec, script });
  return spawn(process.execPath, [OWNER, message], { stdio: ["ignore", "pipe", "inherit"] });
}

/** Resolves when the command has begun and its owner is dead. */
async function killedOwner(place: Place, spec: SandboxSpec, script: string): Promise<void> {
  const owner = startOwner(place, spec, script);
  await told(owner, spec.id);
  await kill(owner);
}

async function told(owner: ChildProcess, word: string): Promise<void> {
  let all = "";
  const hear = (data: Buffer): void => {
    all += data.toString();
  };
  owner.stdout?.on("data", hear);
  await eventually(`its owner says ${word}`, () => all.includes(word));
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}
