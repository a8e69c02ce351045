import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Admission, type AdmissionOptions, type Lease, type Request } from "./admission.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const admission = (options: Partial<AdmissionOptions> = {}) =>
  new Admission({ pools: { default: { slots: 2, queue: 100, priority: 50 } }, total: 100, ...options });

/** Who has been admitted so far, in order; and their leases. */
function watch(slots: Admission) {
  const admitted: string[] = [];
  const leases: Lease[] = [];
  const failures: unknown[] = [];
  const ask = (key: string, request: Partial<Request> = {}): void => {
    slots.acquire({ pool: "default", key, ...request }).then(
      (lease) => {
        admitted.push(key);
        leases.push(lease);
      },
      (error: unknown) => void failures.push(error),
    );
  };
  const settle = () => vi.advanceTimersByTimeAsync(0);
  return { admitted, leases, failures, ask, settle };
}

test("slots are given in order, the rest waits, and a freed slot goes to the next", async () => {
  const slots = admission();
  const { ask, admitted, leases, settle } = watch(slots);
  for (const key of ["a", "b", "c"]) ask(key);
  await settle();
  expect(admitted).toEqual(["a", "b"]);
  expect(slots.stats()["default"]).toEqual({ slots: 2, used: 2, queued: 1 });
  leases[0]?.release();
  leases[0]?.release();
  await settle();
  expect(admitted).toEqual(["a", "b", "c"]);
  expect(slots.stats()["default"]).toEqual({ slots: 2, used: 2, queued: 0 });
});

test("past the bound of the line the answer is busy, with the time to come back", async () => {
  const slots = admission({ pools: { default: { slots: 1, queue: 1, priority: 50 } } });
  const { ask, failures, settle } = watch(slots);
  for (const key of ["a", "b", "c"]) ask(key);
  await settle();
  expect(failures).toMatchObject([{ fault: "busy", facts: { retryAfterMs: expect.any(Number) } }]);
});

test("an unknown pool is refused with the names of those there are", async () => {
  const { ask, failures, settle } = watch(admission());
  ask("a", { pool: "trian" });
  ask("b", { pool: "constructor" });
  await settle();
  expect(failures).toMatchObject([
    { fault: "invalid", message: expect.stringContaining("default, got") },
    { fault: "invalid" },
  ]);
});

test("a group of known size is admitted together or waits together", async () => {
  const { ask, admitted, leases, settle } = watch(admission());
  ask("single");
  const group = { id: "g", size: 2 };
  ask("g1", { group });
  ask("g2", { group });
  await settle();
  expect(admitted).toEqual(["single"]);
  leases[0]?.release();
  await settle();
  expect(admitted).toEqual(["single", "g1", "g2"]);
});

test("a full line holds no half of a group whose other half is turned away", async () => {
  const slots = admission({ pools: { default: { slots: 2, queue: 3, priority: 50 } } });
  const { ask, admitted, failures, leases, settle } = watch(slots);
  for (const key of ["x", "y"]) ask(key);
  for (const id of ["a", "b", "c"]) ask(`${id}1`, { group: { id, size: 2 } });
  for (const id of ["a", "b", "c"]) ask(`${id}2`, { group: { id, size: 2 } });
  await settle();
  expect(failures).toHaveLength(2); // both halves of c
  for (const lease of [...leases]) lease.release();
  await settle();
  expect(admitted).toEqual(["x", "y", "a1", "a2"]);
});

test("a group larger than the pool is invalid", async () => {
  const { ask, failures, settle } = watch(admission());
  ask("a", { group: { id: "g", size: 3 } });
  await settle();
  expect(failures).toMatchObject([{ fault: "invalid", facts: { field: "group.size" } }]);
});

test("an incomplete group does not hold up others; after its patience what came is admitted, and who comes later goes alone", async () => {
  const { ask, admitted, leases, settle } = watch(admission());
  const group = { id: "g", size: 2 };
  ask("g1", { group });
  ask("other");
  await settle();
  expect(admitted).toEqual(["other"]);
  await vi.advanceTimersByTimeAsync(30_000);
  expect(admitted).toEqual(["other", "g1"]);
  leases[0]?.release();
  ask("g2", { group });
  await settle();
  expect(admitted).toEqual(["other", "g1", "g2"]);
});

test("a group without a size waits for nobody", async () => {
  const { ask, admitted, settle } = watch(admission());
  ask("a", { group: { id: "g", size: 0 } });
  await settle();
  expect(admitted).toEqual(["a"]);
});

test("owners take turns: five hundred of one do not hold up the two of another", async () => {
  const { ask, admitted, leases, settle } = watch(
    admission({ pools: { default: { slots: 1, queue: 4096, priority: 50 } } }),
  );
  for (let i = 0; i < 500; i++) ask(`many${i}`, { owner: "many" });
  for (let i = 0; i < 2; i++) ask(`few${i}`, { owner: "few" });
  await settle();
  for (let i = 0; i < 4; i++) {
    leases[i]?.release();
    await settle();
  }
  expect(admitted).toEqual(["many0", "many1", "few0", "many2", "few1"]);
});

test("a pool of higher priority is served first, within the slots of all", async () => {
  const pools = { train: { slots: 10, queue: 10, priority: 10 }, val: { slots: 10, queue: 10, priority: 90 } };
  const { ask, admitted, leases, settle } = watch(admission({ pools, total: 1 }));
  for (const [key, pool] of [
    ["t1", "train"],
    ["t2", "train"],
    ["v1", "val"],
  ] as const)
    ask(key, { pool });
  await settle();
  leases[0]?.release();
  await settle();
  expect(admitted).toEqual(["t1", "v1"]);
});

test("a waiter whose signal fires leaves the line at once", async () => {
  const slots = admission({ pools: { default: { slots: 1, queue: 10, priority: 50 } } });
  const { ask, admitted, leases, failures, settle } = watch(slots);
  const stop = new AbortController();
  ask("a");
  ask("b", { signal: stop.signal });
  ask("c");
  await settle();
  stop.abort(new Error("gone"));
  await settle();
  expect(failures).toMatchObject([{ message: "gone" }]);
  expect(slots.stats()["default"]?.queued).toBe(1);
  leases[0]?.release();
  await settle();
  expect(admitted).toEqual(["a", "c"]);
});

test("a host without headroom admits one, and more as soon as memory is back", async () => {
  let room = 0;
  const { ask, admitted, settle } = watch(admission({ headroom: () => room }));
  for (const key of ["a", "b"]) ask(key);
  await settle();
  expect(admitted).toEqual(["a"]);
  room = 1;
  await vi.advanceTimersByTimeAsync(300);
  expect(admitted).toEqual(["a", "b"]);
});

test("what is alive already is counted, also above the bound", async () => {
  const slots = admission({ pools: { default: { slots: 1, queue: 10, priority: 50 } } });
  const adopted = [slots.adopt({ pool: "default", key: "a" }), slots.adopt({ pool: "gone", key: "b" })];
  const { ask, admitted, settle } = watch(slots);
  ask("c");
  await settle();
  expect(admitted).toEqual([]);
  for (const lease of adopted) lease.release();
  await settle();
  expect(admitted).toEqual(["c"]);
});

test("512 asked for at once by eight clients are all served", async () => {
  const slots = admission({ pools: { default: { slots: 16, queue: 4096, priority: 50 } } });
  const { ask, admitted, leases, settle } = watch(slots);
  for (let i = 0; i < 512; i++) ask(`${i}`, { owner: `client${i % 8}`, group: { id: `g${i >> 3}`, size: 8 } });
  await settle();
  for (let i = 0; i < 512; i++) {
    leases[i]?.release();
    await settle();
  }
  expect(new Set(admitted).size).toBe(512);
  expect(slots.stats()["default"]).toEqual({ slots: 16, used: 0, queued: 0 });
});

test("a gang that the host's memory would not bear beside others is admitted when nothing runs", async () => {
  const { ask, admitted, settle } = watch(admission({ headroom: () => 1 }));
  const group = { id: "g", size: 2 };
  ask("g1", { group });
  ask("g2", { group });
  await settle();
  expect(admitted).toEqual(["g1", "g2"]);
});

test("a gang whose members all gave up is a gang again when they come back", async () => {
  const { ask, admitted, settle } = watch(admission());
  const group = { id: "g", size: 2 };
  const stop = new AbortController();
  ask("g1", { group, signal: stop.signal });
  await settle();
  stop.abort(new Error("gone"));
  await settle();
  ask("g1", { group });
  await settle();
  expect(admitted).toEqual([]);
  ask("g2", { group });
  await settle();
  expect(admitted).toEqual(["g1", "g2"]);
});

test("a gang that waits for slots of all is not overtaken by a pool of lower priority", async () => {
  const pools = { train: { slots: 4, queue: 10, priority: 90 }, val: { slots: 4, queue: 10, priority: 10 } };
  const { ask, admitted, leases, settle } = watch(admission({ pools, total: 2 }));
  ask("t0", { pool: "train" });
  await settle();
  const group = { id: "g", size: 2 };
  for (const key of ["g1", "g2"]) ask(key, { pool: "train", group });
  ask("v", { pool: "val" });
  await settle();
  expect(admitted).toEqual(["t0"]);
  leases[0]?.release();
  await settle();
  expect(admitted).toEqual(["t0", "g1", "g2"]);
});
