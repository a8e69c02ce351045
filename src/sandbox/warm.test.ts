import { expect, test } from "vitest";
import type { Backend, Sandbox, SandboxSpec } from "./sandbox.ts";
import { WarmPool } from "./warm.ts";

/** What becomes of sandboxes that nobody waits for: told ones, for real ones can be removed. */

const SPEC: SandboxSpec = {
  ...{ id: "id", rootfs: { type: "host" }, layers: [], binds: [], views: [], workdir: "/", env: {}, network: "none" },
  limits: { memoryMiB: 1, cpuMilli: 1, pids: 1, diskMiB: 1 },
};

function poolOf(...removals: (Promise<void> | Error)[]) {
  const told: unknown[] = [];
  const dispose = async (): Promise<void> => {
    const next = removals.shift();
    if (next instanceof Error) throw next;
    await next;
  };
  const sandbox = { dispose } as unknown as Sandbox; // the one method that is called
  const backend = { create: async () => sandbox } as unknown as Backend; // this one, too
  const warm = new WarmPool({ backend, perEnvironment: 0, total: 0, failed: (error) => told.push(error) });
  return { warm, told, left: removals };
}

test("one that is discarded is waited for by who settles, and by who drains", async () => {
  const removal = Promise.withResolvers<void>();
  const { warm } = poolOf(removal.promise);
  const ends: string[] = [];
  void warm.discard(await warm.obtain(SPEC, new AbortController().signal)).then(() => ends.push("gone"));
  const waiting = [warm.settled().then(() => ends.push("settled")), warm.drain().then(() => ends.push("drained"))];
  await new Promise(setImmediate);
  expect(ends).toEqual([]);
  removal.resolve();
  await Promise.all(waiting);
  expect(ends.toSorted()).toEqual(["drained", "gone", "settled"]);
});

test("one that cannot be removed is told of, and tried once more when the pool is drained", async () => {
  const [first, second] = [new Error("busy"), new Error("still busy")];
  const { warm, told, left } = poolOf(first, second, Promise.resolve());
  await warm.discard(await warm.obtain(SPEC, new AbortController().signal));
  expect(told).toEqual([first]);
  await warm.drain();
  expect([told, left.length]).toEqual([[first, second], 1]);
});

test("one that was asked for and is not wanted any more is not left behind", async () => {
  const { warm, left } = poolOf(Promise.resolve());
  const stop = new AbortController();
  const asked = warm.obtain(SPEC, stop.signal);
  stop.abort(new Error("no longer wanted"));
  await expect(asked).rejects.toThrow("no longer wanted");
  expect(left).toEqual([]);
});

test("those that stand ready on an image alone go with it, and others of that image with their own layers", async () => {
  const rootfs = { type: "image", ref: "acme/tool:1", digest: `sha256:${"1".repeat(64)}` } as const;
  const made: string[] = [];
  const create = async ({ layers }: SandboxSpec) => {
    const name = layers[0] ?? "none";
    made.push(name);
    return {
      alive: async () => true,
      dispose: async () => void made.splice(made.indexOf(name), 1),
    } as unknown as Sandbox; // all that is called
  };
  const backend = { create } as unknown as Backend; // this one, too
  const warm = new WarmPool({ backend, perEnvironment: 1, total: 4 });
  for (const layers of [[], ["/layer"]]) await warm.take({ ...SPEC, rootfs, layers });
  await expect.poll(() => warm.size).toBe(2);
  expect(made.toSorted()).toEqual(["/layer", "none"]);
  await warm.drop({ rootfs: { ...rootfs, digest: `sha256:${"2".repeat(64)}` }, layers: [] });
  expect(warm.size).toBe(2);
  await warm.drop({ rootfs, layers: [] });
  expect(made).toEqual(["/layer"]);
  await warm.drop({ rootfs, layers: ["/layer"] });
  expect([made, warm.size]).toEqual([[], 0]);
});
