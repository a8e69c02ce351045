import { expect, test } from "vitest";
import { Gate } from "./gate.ts";

test("places are given in the order in which they were asked for, and once each", async () => {
  const gate = new Gate({ maxSandboxes: 1, createsPerSecond: 1_000 });
  const first = await gate.enter();
  const told: string[] = [];
  const asked = async (name: string): Promise<() => void> => {
    const release = await gate.enter();
    told.push(name);
    return release;
  };
  const [second, third] = [asked("second"), asked("third")];
  first();
  first();
  (await second)();
  (await third)();
  expect(told).toEqual(["second", "third"]);
});

test("who does not wait any longer takes no place", async () => {
  const gate = new Gate({ maxSandboxes: 1, createsPerSecond: 1_000 });
  const release = await gate.enter();
  const stop = new AbortController();
  const waiting = gate.enter(stop.signal);
  stop.abort(new Error("gone"));
  await expect(waiting).rejects.toThrow("gone");
  release();
  (await gate.enter())();
});

test("no more begin in a second than the account allows", async () => {
  const gate = new Gate({ maxSandboxes: 10, createsPerSecond: 20 });
  const began = performance.now();
  for (let n = 0; n < 5; n++) await gate.pace();
  expect(performance.now() - began).toBeGreaterThanOrEqual(4 * 50 - 5);
});

test("after a refusal nobody begins for so long", async () => {
  const gate = new Gate({ maxSandboxes: 10, createsPerSecond: 1_000 });
  gate.holdBack(120);
  const began = performance.now();
  await gate.pace();
  expect(performance.now() - began).toBeGreaterThanOrEqual(115);
});
