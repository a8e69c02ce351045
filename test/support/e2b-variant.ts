import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WAITS } from "../../src/sandbox/e2b/waits.ts";
import { newPlace, type Variant as OwnVariant } from "./backends.ts";
import { hostDisk } from "./e2b/host-disk.ts";
import { E2bServer, type E2bServerOptions } from "./e2b/server.ts";
import type { Ground, Place, Variant } from "./variants.ts";

/** The E2B backend against the test server, whose image `host:latest` is this host's system folders. */
export function e2bVariant(name: string, { manner, only }: Pick<Variant, "only"> & Manner = {}): Variant {
  const ground = (): Promise<Ground> => e2bGround({ ...(manner && { manner }) });
  const emulated =
    "machines are processes of this host, lent by the test server in test/support/e2b: no time of it is one of E2B's";
  return { backend: "e2b", name, emulated, ground, ...(only && { only }) };
}

type Manner = Pick<E2bServerOptions, "manner" | "versions" | "account">;

/** A test server with that image. Ended with the block. */
export async function e2bService(manner: Manner = {}): Promise<AsyncDisposable & { readonly server: E2bServer }> {
  if (process.getuid?.() !== 0) throw new Error("the E2B test server makes name spaces and mounts, which needs root");
  const folder = mkdtempSync(join(tmpdir(), "sandlot-e2b-"));
  const disk = await hostDisk(folder);
  const images = new Map(["host:latest", "host:other"].map((ref) => [ref, disk]));
  const server = await E2bServer.start({ ...manner, images });
  return {
    server,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function e2bGround(manner: Manner): Promise<Ground> {
  const service = await e2bService(manner);
  return { place: () => placeOn(service.server), [Symbol.asyncDispose]: () => service[Symbol.asyncDispose]() };
}

/** What the backend is opened with to speak to a test server. */
export function e2bOptions({
  apiKey,
  url,
  folder,
}: Pick<E2bServer, "apiKey" | "url" | "folder">): Extract<OwnVariant["options"], { type: "e2b" }> {
  return {
    type: "e2b",
    ...{ apiKey, domain: "", apiUrl: url, sandboxUrl: url, apiVersion: "v1" },
    ...{ waits: WAITS, lockDir: join(folder, "locks"), hostPath: process.env["PATH"] ?? "" },
    ...{ maxSandboxes: 50, createsPerSecond: 50, hostImage: "host:latest", lifeS: 300 },
    templates: { kind: "build", tool: "", registryType: "", cpu: 2, memoryMiB: 2_048, recipes: {} },
    ...{ pricePerCpuS: 0.000014, pricePerGibS: 0.0000045 },
  };
}

/** A server's own state folder, with a backend at that service. */
export function placeOn(server: E2bServer, changes: Partial<ReturnType<typeof e2bOptions>> = {}): Place {
  const own = newPlace({ name: "e2b", options: { ...e2bOptions(server), ...changes } });
  const sandboxes = join(own.stateDir, "sandboxes");
  return {
    ...own,
    leftovers: async () => [
      ...server.sandboxes.named({ sandlot: own.instance }).map(({ id }) => `machine ${id}`),
      ...readdirSync(sandboxes, { withFileTypes: true }).map(({ name }) => `folder ${name}`),
    ],
    endFromOutside: async (id) => {
      const record = JSON.parse(readFileSync(join(sandboxes, id, "sandbox.json"), "utf8")); // as src/sandbox/e2b/record.ts writes it
      const [box] = server.sandboxes.named({ sandlot_id: id });
      await box?.machine.run(["/bin/bash", "-c", `kill -9 ${record.runner.pid}`]);
    },
    daemon: { because: "the machines and what stands before them are the service's own" },
  };
}
