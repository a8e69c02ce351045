import { existsSync } from "node:fs";
import { expect } from "vitest";
import type { Ability } from "../../../src/sandbox/abilities.ts";
import type { Sandbox, SandboxSpec } from "../../../src/sandbox/sandbox.ts";
import { bash, specIn } from "../../support/backends.ts";
import type { Subject } from "../../support/subject.ts";
import { CHANGES_TYPES } from "./layers.ts";

/** Holds where a backend that lacks something says so, with its reason, and does not do it halfway when it is asked to. */
export async function refuses(subject: Subject, ability: Ability): Promise<void> {
  const reason = subject.backend.lacks[ability] ?? "";
  expect(reason).toMatch(/\w+ \w+/);
  await REFUSALS[ability]?.(subject);
}

const REFUSALS: Partial<Readonly<Record<Ability, (subject: Subject) => void | Promise<void>>>> = {
  isolation: ({ backend }) => expect(backend.capabilities.isolation).toBe(false),
  images: async (subject) => {
    expect([subject.backend.capabilities.images, subject.backend.images]).toEqual([false, undefined]);
    const rootfs = { type: "image", ref: "nobody/nothing", digest: `sha256:${"0".repeat(64)}` } as const;
    await unsupported(subject, { rootfs });
  },
  directories: (subject) =>
    unsupported(subject, { rootfs: { type: "directory", path: subject.place.layer }, workdir: "/" }),
  views: (subject) => unsupported(subject, { views: [{ of: specIn(subject.place).id, at: "/seen" }] }),
  typeChanges: async ({ place, backend }) => {
    const target = `${place.stateDir}/layers/refused`;
    const work = async (sandbox: Sandbox): Promise<void> => void (await bash(sandbox, CHANGES_TYPES));
    await expect(backend.buildLayer(specIn(place), target, work)).rejects.toMatchObject({ fault: "sandbox" });
    expect(existsSync(target)).toBe(false);
  },
  survivesServer: async (subject) =>
    subject.withPlace(async (place) => {
      const spec = specIn(place);
      const before = await place.open();
      await before.create(spec);
      await before.close();
      const next = await place.open();
      expect(await next.reopen(spec.id)).toBeUndefined();
      await next.remove(spec.id);
      await next.close();
    }),
  attach: ({ backend }) => expect(backend.attach).toBeUndefined(),
  hostNetwork: ({ backend }) => expect(backend.capabilities.isolation).toBe(true),
  memoryLimit: ({ backend }) => expect(backend.enforced.memoryMiB).toBe("NONE"),
  cpuLimit: ({ backend }) => expect(backend.enforced.cpuMilli).toBe("NONE"),
  pidsLimit: ({ backend }) => expect(backend.enforced.pids).toBe("NONE"),
  diskLimit: ({ backend }) => expect(backend.enforced.diskMiB).toBe("NONE"),
  oomCount: async (subject) => {
    const result = await (await subject.shared()).exec(["true"], { callId: "uncounted", timeoutMs: 20_000 });
    expect(result.oomKills).toBe(0);
  },
};

async function unsupported({ place, backend }: Subject, changes: Partial<SandboxSpec>): Promise<void> {
  const spec = specIn(place, changes);
  await expect(backend.create(spec)).rejects.toMatchObject({ fault: "unsupported" });
  expect(await backend.list()).not.toContain(spec.id);
}
