import { expect } from "vitest";
import type { Sandbox } from "../../../src/sandbox/sandbox.ts";
import { bash, eventually, specIn } from "../../support/backends.ts";
import type { Behaviour } from "../../support/subject.ts";

const TICKING = "(while :; do echo x >> ticks; sleep 0.01; done) >/dev/null 2>&1 &";

export const standingStill: readonly Behaviour[] = [
  {
    name: "lasts until it is thawed",
    check: async (subject) =>
      subject.withSandbox({}, async (sandbox) => {
        await bash(sandbox, TICKING);
        await eventually("it ticks", async () => (await ticks(sandbox)) > 4);
        const before = await ticks(sandbox);
        const frozen = await sandbox.freeze();
        const asked = bash(sandbox, "echo thawed");
        const early = await Promise.race([asked, pause(300)]);
        await frozen[Symbol.asyncDispose]();
        expect([early, (await asked).stdout]).toEqual([undefined, "thawed\n"]);
        await eventually("it ticks again", async () => (await ticks(sandbox)) > before + 4);
      }),
  },
  {
    name: "for two lasts until both let go",
    check: async (subject) =>
      subject.withSandbox({}, async (sandbox) => {
        const [one, two] = [await sandbox.freeze(), await sandbox.freeze()];
        await one[Symbol.asyncDispose]();
        await one[Symbol.asyncDispose]();
        const asked = bash(sandbox, "echo thawed");
        const early = await Promise.race([asked, pause(200)]);
        await two[Symbol.asyncDispose]();
        expect([early, (await asked).stdout]).toEqual([undefined, "thawed\n"]);
      }),
  },
  {
    name: "does not keep a sandbox from its end",
    check: async ({ place, backend }) => {
      const sandbox = await backend.create(specIn(place));
      await bash(sandbox, TICKING);
      await sandbox.freeze();
      await sandbox.dispose();
      expect(await backend.list()).not.toContain(sandbox.id);
    },
  },
];

async function ticks(sandbox: Sandbox): Promise<number> {
  return (await sandbox.readFile("/work/ticks", { callId: `t-${Math.random()}` })).sizeBytes;
}

function pause(milliseconds: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds, undefined));
}
