import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { Backend, Sandbox, SandboxSpec } from "../../src/sandbox/sandbox.ts";
import { availableVariants, bash, newPlace, type Place, specIn } from "../support/backends.ts";
import { killLaunchers, readIfThere } from "../support/host-variant.ts";
import { leftovers } from "../support/leftovers.ts";

/** The same whatever the runtime: one stands for both. */
const launching = (await availableVariants()).filter(
  ({ options }) => options.type === "oci" && options.runtime === "crun",
);

describe.skipIf(launching.length > 0)("without a backend that has a launcher", () => {
  test("none is killed", () => expect(launching).toEqual([]));
});

for (const variant of launching) {
  describe(`${variant.name}, when its launcher is killed`, () => {
    test("a create in the making is made again, and nothing of the first try is left", async () => {
      await using place = newPlace(variant);
      const backend = await place.open();
      const bystander = await backend.create(specIn(place));
      for (const afterMs of [0, 3, 8, 15, 25, 40]) {
        const spec = specIn(place);
        const making = backend.create(spec);
        await begun(place, spec);
        await sleep(afterMs);
        killLaunchers();
        await worksIn(await making);
        expect([afterMs, await backend.list(), besides(place, bystander.id)]).toEqual([afterMs, [bystander.id], []]);
      }
      await worksIn(bystander);
      await backend.close();
      expect(leftovers(place.stateDir, place.instance)).toEqual([]);
    });

    test("again and again, the create fails as the host's fault and leaves nothing; the next one works", async () => {
      await using place = newPlace(variant);
      const backend = await place.open();
      let told: unknown;
      // One that was made before who kills had a turn says nothing.
      while (told === undefined) told = await failureUnderFire(place, backend);
      expect(told).toMatchObject({
        fault: "sandbox",
        message: expect.stringMatching(/^the launcher ended early/),
      });
      expect(await backend.list()).toEqual([]);
      await worksIn(await backend.create(specIn(place)));
      expect(besides(place, "none")).toEqual([]);
      await backend.close();
      expect(leftovers(place.stateDir, place.instance)).toEqual([]);
    });
  });
}

/** How a create ends whose launchers are killed again and again; undefined when it was made all the same. */
async function failureUnderFire(place: Place, backend: Backend): Promise<unknown> {
  const spec = specIn(place);
  let over = false;
  const made = backend.create(spec).finally(() => {
    over = true;
  });
  const ending = made.then(
    (sandbox) => sandbox.dispose(),
    (error: unknown) => error,
  );
  while (!over) {
    if (existsSync(join(place.stateDir, "sandboxes", spec.id))) killLaunchers();
    await sleep(1);
  }
  return await ending;
}

/** Its folder is there. */
async function begun({ stateDir }: Pick<Place, "stateDir">, { id }: SandboxSpec): Promise<void> {
  while (!existsSync(join(stateDir, "sandboxes", id))) await sleep(0);
}

async function worksIn(sandbox: Sandbox): Promise<void> {
  expect((await bash(sandbox, "echo here; cat /proc/*/environ | grep -c -a SANDLOT_MAKING")).stdout).toBe("here\n0\n");
  await sandbox.dispose();
}

/** All but what a server keeps: that of the one sandbox, the folders in which its control groups are, its launcher. */
function besides({ stateDir, instance }: Pick<Place, "stateDir" | "instance">, id: string): string[] {
  const kept = (line: string): boolean =>
    line.endsWith(`/sandlot-${instance}`) || line.includes("launcher-main") || line.includes(id) || isOf(line, id);
  return leftovers(stateDir, instance).filter((line) => !kept(line));
}

function isOf(line: string, id: string): boolean {
  const [kind, name = ""] = line.replace("loop device", "loop").split(" ");
  const path = kind === "loop" ? `/sys/block/${name}/loop/backing_file` : `/proc/${name}/cgroup`;
  return readIfThere(path).includes(id);
}
