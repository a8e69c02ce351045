import { describe, expect, test } from "vitest";
import { SandlotError } from "../errors.ts";
import { guardBackend } from "./guard.ts";
import type { BareBackend, BareSandbox } from "./guarded.ts";
import { RunnerGone } from "./runner/client.ts";
import type { ExecResult, Sandbox, SandboxSpec } from "./sandbox.ts";

const SPEC: SandboxSpec = {
  id: "sandlot-0123abcd-0123456789abcdef0123456789abcdef",
  rootfs: { type: "host" },
  layers: [],
  binds: [],
  views: [],
  workdir: "/work",
  env: {},
  limits: { memoryMiB: 64, cpuMilli: 1000, pids: 16, diskMiB: 64 },
  network: "none",
};

/** A sandbox whose first process is gone, unless told otherwise. */
function guarded(changes: Partial<BareSandbox>): Promise<Sandbox> {
  const gone = (): Promise<never> => Promise.reject(new RunnerGone("the socket refuses"));
  const bare: BareSandbox = {
    ...{ id: SPEC.id, workdir: SPEC.workdir, env: SPEC.env, limits: SPEC.limits },
    enforced: { memoryMiB: "HARD", cpuMilli: "HARD", pids: "HARD", diskMiB: "HARD" },
    locate: (path) => path,
    ...{ exec: gone, readFile: gone, writeFile: gone, interrupt: gone, acknowledge: () => undefined },
    freeze: () => Promise.reject(new Error("no freezer")),
    alive: () => Promise.resolve(false),
    usage: () => Promise.resolve({ diskBytes: 0, memoryBytes: 0 }),
    dispose: () => Promise.resolve(),
    endedByItself: () => undefined,
    killCommands: () => undefined,
    ...changes,
  };
  const backend: BareBackend = {
    name: "gone",
    capabilities: { isolation: true, snapshot: false, network: true, images: false },
    lacks: {},
    enforced: bare.enforced,
    create: () => Promise.resolve(bare),
    reopen: () => Promise.resolve(bare),
    list: () => Promise.resolve([]),
    remove: () => Promise.resolve(),
    buildLayer: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  return guardBackend(backend).create(SPEC);
}

const CALL = { callId: "call", timeoutMs: 1_000 };

describe("a sandbox whose first process is gone", () => {
  test("by its own doing answers commands and files with words", async () => {
    const sandbox = await guarded({ endedByItself: () => "it ran out of memory" });
    expect(await sandbox.exec(["true"], CALL)).toMatchObject({ signal: 9, note: "it ran out of memory" });
    expect(await sandbox.writeFile("/a", new Uint8Array(), { callId: "w" })).toEqual({
      failure: "it ran out of memory",
    });
    expect((await sandbox.readFile("/a", { callId: "r" })).type).toBe("missing");
  });

  test("by a cause outside is a fault of the sandbox", async () => {
    const sandbox = await guarded({});
    await expect(sandbox.exec(["true"], CALL)).rejects.toMatchObject({ fault: "sandbox" });
  });

  test("is interrupted and acknowledged without complaint", async () => {
    const sandbox = await guarded({});
    await expect(sandbox.interrupt("call")).resolves.toBeUndefined();
    sandbox.acknowledge("call");
  });

  test("because it was removed says so", async () => {
    const sandbox = await guarded({});
    await sandbox.dispose();
    await expect(sandbox.exec(["true"], CALL)).rejects.toMatchObject({ fault: "ended" });
  });
});

test("a dispose that failed is tried again by the next one, and once that worked no more", async () => {
  let tries = 0;
  const sandbox = await guarded({
    dispose: () => (tries++ === 0 ? Promise.reject(new Error("busy")) : Promise.resolve()),
  });
  await expect(sandbox.dispose()).rejects.toThrow("busy");
  await Promise.all([sandbox.dispose(), sandbox.dispose()]);
  expect(tries).toBe(2);
});

test("the caller's own abort is passed on as it is", async () => {
  const never = (_argv: readonly string[], { signal }: { signal?: AbortSignal }): Promise<ExecResult> =>
    new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
  const sandbox = await guarded({ exec: never });
  const stop = new AbortController();
  const waiting = sandbox.exec(["true"], { ...CALL, signal: stop.signal });
  stop.abort(new Error("nobody waits"));
  await expect(waiting).rejects.toThrow("nobody waits");
});

test.each([
  ["id", { id: "other" }],
  ["layers", { layers: ["relative"] }],
  ["binds.target", { binds: [{ source: "/usr", target: "/usr/../etc" }] }],
  ["views.at", { views: [{ of: SPEC.id, at: "/proc/1" }] }],
  ["limits.pids", { limits: { ...SPEC.limits, pids: 0 } }],
  ["env", { env: { "A\0": "" } }],
])("a create with a bad %s is invalid and names it", async (field, changes) => {
  const backend = guardBackend({ create: () => Promise.reject(new Error("reached")) } as unknown as BareBackend);
  await expect(backend.create({ ...SPEC, ...changes })).rejects.toMatchObject({ fault: "invalid", facts: { field } });
});

test("a call that its own removal cut short says so, whatever the backend stumbled over", async () => {
  const stumbled = Promise.withResolvers<never>();
  const sandbox = await guarded({ exec: () => stumbled.promise });
  const call = sandbox.exec(["true"], CALL);
  await sandbox.dispose();
  stumbled.reject(new SandlotError("sandbox", "the engine could not attach: no such container"));
  await expect(call).rejects.toMatchObject({ fault: "ended" });
});
