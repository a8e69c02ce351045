import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { bash, eventually, specIn } from "../../support/backends.ts";
import type { Behaviour, Subject } from "../../support/subject.ts";

export const lives: readonly Behaviour[] = [
  {
    name: "ends however often and however busily it is ended, and calls after it say so",
    check: async ({ place, backend }) => {
      const sandbox = await backend.create(specIn(place));
      let started = false;
      const running = bash(sandbox, "echo go; sleep 60 & sleep 60", {
        onOutput: () => {
          started = true;
        },
      });
      const ending = running.catch((error: unknown) => error);
      await eventually("it runs", () => started);
      await Promise.all([sandbox.dispose(), sandbox.dispose(), backend.remove(sandbox.id)]);
      expect(await ending).toMatchObject({ fault: "ended" });
      await sandbox.dispose();
      await expect(bash(sandbox, "true")).rejects.toMatchObject({ fault: "ended" });
      await expect(sandbox.readFile("/work/file", { callId: "late" })).rejects.toMatchObject({ fault: "ended" });
      expect(await sandbox.alive()).toBe(false);
      expect(await backend.list()).not.toContain(sandbox.id);
    },
  },
  {
    name: "is listed from its beginning to its end, and has the id and limits that were asked for",
    check: async ({ place, backend }) => {
      const spec = specIn(place);
      const sandbox = await backend.create(spec);
      expect([sandbox.id, sandbox.limits, await sandbox.alive()]).toEqual([spec.id, spec.limits, true]);
      expect(await backend.list()).toContain(spec.id);
      await backend.remove(spec.id);
      expect(await backend.list()).not.toContain(spec.id);
      expect(await sandbox.alive()).toBe(false);
    },
  },
  {
    name: "that cannot begin leaves nothing",
    check: async ({ place, backend }) => {
      const spec = specIn(place, { layers: [`${place.layer}/absent`] });
      await expect(backend.create(spec)).rejects.toMatchObject({ name: "SandlotError" });
      expect(await backend.list()).not.toContain(spec.id);
    },
  },
  ...[0, 3, 10, 25, 100].map((afterMs) => ({
    name: `whose beginning is cancelled after ${afterMs} ms leaves nothing`,
    check: async ({ place, backend }: Subject) => {
      const spec = specIn(place);
      const made = backend.create(spec, AbortSignal.timeout(afterMs)).then((sandbox) => sandbox.dispose());
      await made.catch((error: unknown) => expect(error).toBeInstanceOf(Error));
      expect(await backend.list()).not.toContain(spec.id);
    },
  })),
  {
    name: "has an id that only one can have",
    check: async (subject) => {
      const { id } = await subject.shared();
      const again = subject.backend.create(specIn(subject.place, { id }));
      await expect(again).rejects.toMatchObject({ fault: "invalid" });
      expect((await bash(await subject.shared(), "echo unharmed")).stdout).toBe("unharmed\n");
    },
  },
  {
    name: "with a spec that is wrong is refused as invalid",
    check: async ({ place, backend }) => {
      const { limits } = specIn(place);
      for (const changes of [
        { id: "sandlot-mine" },
        { workdir: "work" },
        { limits: { ...limits, pids: 0 } },
        { env: { "A=B": "" } },
        { binds: [{ source: place.layer, target: "/proc/here" }] },
      ]) {
        await expect(backend.create(specIn(place, changes))).rejects.toMatchObject({ fault: "invalid" });
      }
    },
  },
  {
    name: "does not touch the layers that it shares",
    check: async (subject) => {
      await subject.withSandbox({}, async (sandbox) => {
        await bash(sandbox, "echo changed > file; rm -r folder; mv file renamed");
        expect((await bash(sandbox, "ls")).stdout).toBe("renamed\n");
      });
      await subject.withSandbox({}, async (sandbox) => {
        expect((await bash(sandbox, "ls; cat file")).stdout).toBe("file\nfolder\nfrom the layer\n");
      });
    },
  },
  {
    name: "begins and ends beside others, and none sees another's files",
    check: async ({ place, backend }) => {
      const all = await Promise.all(Array.from({ length: 6 }, () => backend.create(specIn(place))));
      const seen = await Promise.all(
        all.map(async (sandbox, at) => (await bash(sandbox, `touch own-${at}; ls`)).stdout),
      );
      expect(seen).toEqual(all.map((_, at) => `file\nfolder\nown-${at}\n`));
      await Promise.all(all.map((sandbox) => sandbox.dispose()));
      const listed = await backend.list();
      expect(all.filter(({ id }) => listed.includes(id))).toEqual([]);
    },
  },
  {
    name: "that never was can be removed, and not be opened",
    check: async ({ place, backend }) => {
      const { id } = specIn(place);
      await backend.remove(id);
      expect(await backend.reopen(id)).toBeUndefined();
    },
  },
  {
    name: "tells what it takes of disk and memory",
    needs: ["usage"],
    check: async (subject) => {
      await subject.withSandbox({}, async (sandbox) => {
        const before = await sandbox.usage();
        await bash(sandbox, "head -c 20000000 /dev/urandom > large; sync");
        const after = await sandbox.usage();
        expect(after.diskBytes - before.diskBytes).toBeGreaterThan(15_000_000);
        expect(after.memoryBytes).toBeGreaterThan(0);
      });
    },
  },
  {
    name: "that is ended from outside is nobody's doing inside, and what is left can be removed",
    check: async ({ place, backend }) => {
      const victim = await backend.create(specIn(place));
      let started = false;
      const running = bash(victim, "echo go; sleep 60", {
        onOutput: () => {
          started = true;
        },
      });
      const told = running.catch((error: unknown) => error);
      await eventually("it runs", () => started);
      await place.endFromOutside(victim.id);
      expect(await told).toMatchObject({ fault: "sandbox" });
      await expect(bash(victim, "true")).rejects.toMatchObject({ fault: "sandbox" });
      const read = victim.readFile("/work/file", { callId: "of-the-dead" });
      await expect(read).rejects.toMatchObject({ fault: "sandbox" });
      await eventually("it is dead", async () => !(await victim.alive()));
      expect(await backend.reopen(victim.id)).toBeUndefined();
      await victim.dispose();
      expect(await backend.list()).not.toContain(victim.id);
    },
  },
  {
    name: "is not mistaken for one that ended when the service behind it dies and comes back",
    needs: ["survivesDaemon"],
    check: async (subject) =>
      subject.withPlace(async (place) => {
        const backend = await place.open();
        const sandbox = await backend.create(specIn(place));
        await bash(sandbox, "echo before > kept");
        if (!("because" in place.daemon)) await place.daemon.stop();
        if (!("because" in place.daemon)) await place.daemon.start();
        await eventually("it answers", async () => (await answer(sandbox)) === "before\n");
        const other = await backend.create(specIn(place));
        expect((await bash(other, "cat file")).stdout).toBe("from the layer\n");
        await Promise.all([sandbox.dispose(), other.dispose()]);
        await backend.close();
      }),
  },
  {
    name: "that runs a command while the service behind it dies gives its true result or the host's fault, never another result",
    check: async (subject) =>
      subject.withPlace(async (place) => {
        const backend = await place.open();
        const sandbox = await backend.create(specIn(place));
        let started = false;
        const running = bash(sandbox, "echo go; sleep 2; echo done", {
          onOutput: () => {
            started = true;
          },
        });
        const told = running.then(
          ({ exitCode, stdout }) => [exitCode, stdout],
          (error: unknown) => (error as { fault?: string }).fault,
        );
        await eventually("it runs", () => started);
        if (!("because" in place.daemon)) {
          await place.daemon.stop();
          await sleep(100);
          await place.daemon.start();
        }
        const result = await told;
        if (result !== "sandbox") expect(result).toEqual([0, "go\ndone\n"]);
        await worksAgain(place, backend);
        await sandbox.dispose();
        await backend.close();
      }),
  },
];

async function answer(sandbox: Parameters<typeof bash>[0]): Promise<string> {
  return await bash(sandbox, "cat kept").then(
    ({ stdout }) => stdout,
    () => "",
  );
}

async function worksAgain(place: Subject["place"], backend: Subject["backend"]): Promise<void> {
  const next = await backend.create(specIn(place));
  expect((await bash(next, "cat file")).stdout).toBe("from the layer\n");
  await next.dispose();
}
