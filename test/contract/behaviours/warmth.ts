import { expect } from "vitest";
import { WarmPool } from "../../../src/sandbox/warm.ts";
import { bash, eventually, specIn } from "../../support/backends.ts";
import type { Behaviour } from "../../support/subject.ts";

export const warmth: readonly Behaviour[] = [
  {
    name: "the second of a kind is there at once, has an id of its own, and is one nobody had",
    check: async (subject) =>
      subject.withPlace(async (place) => {
        const backend = await place.open();
        const warm = new WarmPool({ backend, perEnvironment: 2, total: 4 });
        const spec = specIn(place);
        expect(await warm.take(spec)).toBeUndefined();
        await eventually("two are ready", () => warm.size === 2);
        const taken = await Promise.all([warm.take(spec), warm.take(spec)]);
        expect(new Set([spec.id, ...taken.map((sandbox) => sandbox?.id)]).size).toBe(3);
        for (const sandbox of taken) {
          if (sandbox === undefined) throw new Error("none was ready");
          expect((await bash(sandbox, "ls; echo mine > mine")).stdout).toBe("file\nfolder\n");
        }
        await eventually("two more are ready", () => warm.size === 2);
        await Promise.all([warm.drain(), ...taken.map((sandbox) => sandbox?.dispose())]);
        expect([await warm.take(spec), await backend.list()]).toEqual([undefined, []]);
        await backend.close();
      }),
  },
  {
    name: "a kind that was not taken for long makes room, and one that died is not given out",
    check: async (subject) =>
      subject.withPlace(async (place) => {
        const backend = await place.open();
        const warm = new WarmPool({ backend, perEnvironment: 1, total: 1 });
        const [one, two] = [specIn(place), specIn(place, { env: { KIND: "two" } })];
        await warm.take(one);
        await eventually("the first is ready", () => warm.size === 1);
        const [first] = await backend.list();
        await warm.take(two);
        const replaced = async (): Promise<boolean> => {
          const ids = await backend.list();
          return warm.size === 1 && ids.length === 1 && ids[0] !== first;
        };
        await eventually("the second took its place", replaced);
        for (const id of await backend.list()) await backend.remove(id);
        expect(await warm.take(two)).toBeUndefined();
        await warm.drain();
        expect(await backend.list()).toEqual([]);
        await backend.close();
      }),
  },
];
