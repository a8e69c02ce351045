import { existsSync } from "node:fs";
import { expect } from "vitest";
import { bash, specIn } from "../../support/backends.ts";
import type { Behaviour } from "../../support/subject.ts";

/** A file becomes a folder, a folder a file. */
export const CHANGES_TYPES =
  "rm file; mkdir file; echo deep > file/deep; rm -r folder; echo flat > folder; cp folder result";

const LIST = "find . -mindepth 1 | sort; cat result";

export const layers: readonly Behaviour[] = [
  {
    name: "is what the builder wrote, deletions too",
    check: async (subject) => {
      const { place, backend } = subject;
      const target = `${place.stateDir}/layers/one`;
      await backend.buildLayer(specIn(place), target, async (sandbox) => {
        await bash(sandbox, "echo built > result; rm file; echo below > folder/more");
      });
      await subject.withSandbox({ layers: [place.layer, target] }, async (sandbox) => {
        expect((await bash(sandbox, LIST)).stdout).toBe("./folder\n./folder/more\n./folder/other\n./result\nbuilt\n");
      });
    },
  },
  {
    name: "may replace a folder by another, and hold links and programs",
    check: async (subject) => {
      const { place, backend } = subject;
      const target = `${place.stateDir}/layers/two`;
      await backend.buildLayer(specIn(place), target, async (sandbox) => {
        await bash(
          sandbox,
          `rm -r folder; mkdir folder; echo only > folder/this; ln -s folder/this link; ln folder/this hard
           printf '#!/bin/sh\\necho ran' > 'a program'; chmod 750 'a program'; mkdir empty; echo built > result`,
        );
      });
      await subject.withSandbox({ layers: [place.layer, target] }, async (sandbox) => {
        const found = ["a program", "empty", "file", "folder", "folder/this", "hard", "link", "result"];
        expect((await bash(sandbox, LIST)).stdout).toBe(`${found.map((name) => `./${name}\n`).join("")}built\n`);
        const look =
          "readlink link; './a program'; cat link; stat -c %a 'a program'; test hard -ef folder/this; echo $?";
        expect((await bash(sandbox, look)).stdout).toBe("folder/this\nran\nonly\n750\n0\n");
      });
    },
  },
  {
    name: "may have a folder where there was a file, and a file where there was a folder",
    needs: ["typeChanges"],
    check: async (subject) => {
      const { place, backend } = subject;
      const target = `${place.stateDir}/layers/types`;
      await backend.buildLayer(specIn(place), target, async (sandbox) => void (await bash(sandbox, CHANGES_TYPES)));
      await subject.withSandbox({ layers: [place.layer, target] }, async (sandbox) => {
        expect((await bash(sandbox, LIST)).stdout).toBe("./file\n./file/deep\n./folder\n./result\nflat\n");
      });
    },
  },
  {
    name: "may lie on a layer that was built before",
    check: async (subject) => {
      const { place, backend } = subject;
      const [lower, upper] = [`${place.stateDir}/layers/lower`, `${place.stateDir}/layers/upper`];
      await backend.buildLayer(specIn(place), lower, async (sandbox) => {
        await bash(sandbox, "echo first > result; rm -r folder; echo kept > kept");
      });
      const layers = [place.layer, lower];
      await backend.buildLayer(specIn(place, { layers }), upper, async (sandbox) => {
        await bash(sandbox, "cat result; echo second > result; rm file; mkdir folder; touch folder/back");
      });
      await subject.withSandbox({ layers: [...layers, upper] }, async (sandbox) => {
        expect((await bash(sandbox, LIST)).stdout).toBe("./folder\n./folder/back\n./kept\n./result\nsecond\n");
      });
    },
  },
  {
    name: "that fails to build leaves nothing",
    check: async (subject) => {
      const { place, backend } = subject;
      const spec = specIn(place);
      const target = `${place.stateDir}/layers/three`;
      const failing = backend.buildLayer(spec, target, async (sandbox) => {
        await bash(sandbox, "echo half > result");
        throw new Error("no network");
      });
      await expect(failing).rejects.toThrow("no network");
      expect([await backend.list(), existsSync(target)]).toEqual([expect.not.arrayContaining([spec.id]), false]);
    },
  },
  {
    name: "is not built where something is already",
    check: async ({ place, backend }) => {
      const building = backend.buildLayer(specIn(place), place.layer, () => Promise.resolve());
      await expect(building).rejects.toMatchObject({ fault: "invalid" });
      expect(existsSync(`${place.layer}/work/file`)).toBe(true);
    },
  },
  {
    name: "hides what lies below it, and nothing else",
    check: async (subject) => {
      const { place, backend } = subject;
      const target = `${place.stateDir}/layers/over`;
      await backend.buildLayer(specIn(place), target, async (sandbox) => {
        await bash(sandbox, "echo hides > file");
      });
      await subject.withSandbox({ layers: [target, place.layer] }, async (sandbox) => {
        expect((await bash(sandbox, "cat file folder/other")).stdout).toBe("from the layer\nalso from the layer\n");
      });
    },
  },
];
