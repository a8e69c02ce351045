import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBackend } from "../sandbox/open.ts";
import type { Backend, Sandbox } from "../sandbox/sandbox.ts";
import { roundTrip } from "./round-trip.ts";

const ID = `sandlot-aabbccdd-${"0".repeat(32)}`;
let stateDir: string;
let backend: Backend;

beforeAll(async () => {
  stateDir = mkdtempSync(join(tmpdir(), "sandlot-round-trip-"));
  const runnerPath = join(import.meta.dirname, "../../runner/sandlot-runner");
  backend = await openBackend({ type: "process", stateDir, instance: "aabbccdd", runnerPath, hide: [] });
});
afterAll(async () => {
  await backend.close();
  rmSync(stateDir, { recursive: true });
});

test("a round trip tells how long each part took, and leaves nothing", async () => {
  const times = await roundTrip(backend, ID, { type: "host" });
  expect(Object.keys(times)).toEqual(["create", "execute", "file", "release"]);
  for (const took of Object.values(times)) expect(took).toBeGreaterThan(0);
  expect(await backend.list()).toEqual([]);
});

test.each<[string, Partial<Sandbox>, RegExp]>([
  [
    "a file that comes back with other bytes",
    { readFile: async () => ({ type: "file", sizeBytes: 1, data: Buffer.from("x") }) },
    /a file of 1 MiB came back as file with other bytes/,
  ],
  ["a file that cannot be written", { writeFile: async () => ({ failure: "no room" }) }, /cannot be written: no room/],
])("%s is told, and nothing stays", async (_what, broken, message) => {
  const lying: Backend = {
    ...{ name: "lying", capabilities: backend.capabilities, enforced: backend.enforced, lacks: backend.lacks },
    create: async (spec) => {
      const sandbox = await backend.create(spec);
      const { id, workdir, env, limits, enforced } = sandbox;
      return {
        ...{ id, workdir, env, limits, enforced },
        ...{ locate: (path) => sandbox.locate(path), exec: (argv, options) => sandbox.exec(argv, options) },
        ...{ interrupt: (callId) => sandbox.interrupt(callId), acknowledge: (callId) => sandbox.acknowledge(callId) },
        ...{ readFile: (path, options) => sandbox.readFile(path, options), freeze: () => sandbox.freeze() },
        ...{ writeFile: (path, data, options) => sandbox.writeFile(path, data, options), alive: () => sandbox.alive() },
        ...{ usage: () => sandbox.usage(), dispose: () => sandbox.dispose() },
        ...broken,
      };
    },
    ...{ reopen: (id) => backend.reopen(id), list: () => backend.list(), remove: (id) => backend.remove(id) },
    ...{ buildLayer: (spec, target, work) => backend.buildLayer(spec, target, work), close: () => backend.close() },
  };
  await expect(roundTrip(lying, ID, { type: "host" })).rejects.toThrow(message);
  expect(await backend.list()).toEqual([]);
});
