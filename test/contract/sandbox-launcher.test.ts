import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { Sandbox } from "../../src/sandbox/sandbox.ts";
import { availableVariants, bash, newPlace, type Place, specIn } from "../support/backends.ts";
import { leftovers } from "../support/leftovers.ts";

const launching = (await availableVariants()).filter((variant) => variant.options.type === "oci");

describe.skipIf(launching.length > 0)("without a backend that has a launcher", () => {
  test("none is killed", () => expect(launching).toEqual([]));
});

for (const variant of launching) {
  describe(`${variant.name}, when its launcher is killed`, () => {
    test("a create in the making fails as the host's fault and leaves nothing; the next one works", async () => {
      await using place = newPlace(variant);
      const backend = await place.open();
      const bystander = await backend.create(specIn(place));
      let failed = 0;
      for (const afterMs of [0, 2, 5, 8, 12, 16, 20, 25, 30, 40, 60]) {
        const spec = specIn(place);
        const making = backend.create(spec).then(
          (sandbox) => ({ sandbox, error: undefined }),
          (error: unknown) => ({ sandbox: undefined, error }),
        );
        while (!existsSync(join(place.stateDir, "sandboxes", spec.id))) await sleep(0);
        await sleep(afterMs);
        killLauncher();
        const { sandbox, error } = await making;
        if (sandbox === undefined) {
          failed += 1;
          expect(error).toMatchObject({
            fault: "sandbox",
            message: expect.stringContaining("the launcher ended early"),
          });
        }
        await sandbox?.dispose();
        expect([afterMs, await backend.list(), besides(place, bystander.id)]).toEqual([afterMs, [bystander.id], []]);
        await worksIn(await backend.create(specIn(place)));
      }
      expect(failed).toBeGreaterThan(2);
      await worksIn(bystander);
      await backend.close();
      expect(leftovers(place.stateDir, place.instance)).toEqual([]);
    }, 60_000);
  });
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

/** The one below this process. */
function killLauncher(): void {
  const children = readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && parentOf(pid) === process.pid);
  const launcher = children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("launcher-main"));
  if (launcher === undefined) throw new Error("there is no launcher");
  process.kill(Number(launcher), "SIGKILL");
}

function parentOf(pid: string): number {
  const stat = readIfThere(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
