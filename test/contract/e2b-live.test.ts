import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WAITS } from "../../src/sandbox/e2b/waits.ts";
import type { Backend, Sandbox } from "../../src/sandbox/sandbox.ts";
import { bash, newPlace, type Place, specIn } from "../support/backends.ts";

/** A real account: E2B_API_KEY, and E2B_DOMAIN, E2B_API_URL, E2B_SANDBOX_URL where it is not E2B's own. E2B_LIVE_IMAGE names the image; it costs a template build, and some seconds of three machines. */
const { E2B_API_KEY: apiKey = "", E2B_LIVE_IMAGE: hostImage = "debian:12" } = process.env;

if (apiKey === "") {
  process.stderr.write("skipped: the live test of E2B: E2B_API_KEY is not set\n");
  test.skip("a real account at E2B plays: E2B_API_KEY is not set");
} else {
  describe("a real account at E2B", { timeout: 600_000 }, () => {
    let place: Place;
    let backend: Backend;
    let sandbox: Sandbox;

    beforeAll(async () => {
      place = newPlace({
        name: "e2b, live",
        options: {
          type: "e2b",
          ...{ apiKey, domain: "", apiUrl: "", sandboxUrl: "", apiVersion: "v1" },
          ...{ waits: WAITS, lockDir: join(tmpdir(), "sandlot-e2b-builds"), hostPath: process.env["PATH"] ?? "" },
          ...{ maxSandboxes: 4, createsPerSecond: 1, hostImage, lifeS: 300, pricePerCpuS: 0, pricePerGibS: 0 },
          templates: { kind: "build", tool: "", registryType: "", cpu: 2, memoryMiB: 2_048, recipes: {} },
        },
      });
      const began = performance.now();
      backend = await place.open();
      const opened = performance.now();
      sandbox = await backend.create(specIn(place));
      const created = performance.now();
      await bash(sandbox, "true");
      const times = [opened - began, created - opened, performance.now() - created].map((ms) => Math.round(ms));
      process.stderr.write(
        `E2B, ms: open with a trial ${times[0]}, prepare and create ${times[1]}, execute ${times[2]}\n`,
      );
      process.stderr.write(`limits: ${JSON.stringify(sandbox.enforced)}\n`);
    }, 1_200_000);

    afterAll(async () => {
      await sandbox?.dispose();
      const left = await backend?.list();
      await backend?.close();
      await place?.[Symbol.asyncDispose]();
      expect(left).toEqual([]);
    });

    test("runs a command in a layer of this host, as root of its own", async () => {
      const { stdout } = await bash(sandbox, "id -u; pwd; cat file; echo $PATH");
      expect(stdout).toBe(`0\n/work\nfrom the layer\n${sandbox.env["PATH"]}\n`);
    });

    test("keeps 4 MiB of bytes as they are", async () => {
      const data = Buffer.alloc(4 * 1_048_576, Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)));
      expect(await sandbox.writeFile("/work/bytes", data, { callId: "w" })).toEqual({});
      const { data: read } = await sandbox.readFile("/work/bytes", { callId: "r" });
      expect(data.equals(read)).toBe(true);
    });

    test("ends the whole tree of a command at its time-out", async () => {
      const result = await bash(sandbox, "trap '' TERM; setsid sleep 611 & sleep 611", { timeoutMs: 1_000 });
      expect(result.timedOut).toBe("command");
      expect((await bash(sandbox, "ps ax | grep -c '[s]leep 611'")).stdout.trim()).toBe("0");
    });

    test("reaches no network, and shows nothing of the machine", async () => {
      expect((await bash(sandbox, "exec 3<>/dev/tcp/1.1.1.1/80")).stderr).toContain("unreachable");
      expect((await bash(sandbox, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")).stdout).not.toContain("envd");
    });

    test("is shown to another, frozen", async () => {
      await bash(sandbox, "echo new > added; rm file");
      const frozen = await sandbox.freeze();
      const helper = await backend.create(specIn(place, { views: [{ of: sandbox.id, at: "/seen" }] }));
      expect((await bash(helper, "cd /seen/work; ls; cat added")).stdout).toContain("new\n");
      expect((await bash(helper, "ls /seen/work/file")).exitCode).not.toBe(0);
      await helper.dispose();
      await frozen[Symbol.asyncDispose]();
    });
  });
}
