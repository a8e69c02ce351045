import { expect, it } from "vitest";
import { Stillness } from "./stillness.ts";

it("stops for the first, and goes on when the last lets go, once each", async () => {
  const told: string[] = [];
  const stillness = new Stillness(
    async () => told.push("stop"),
    async () => told.push("go"),
  );
  const [one, two] = await Promise.all([stillness.hold(), stillness.hold()]);
  await one[Symbol.asyncDispose]();
  await one[Symbol.asyncDispose]();
  expect(told).toEqual(["stop"]);
  await two[Symbol.asyncDispose]();
  expect(told).toEqual(["stop", "go"]);
});

it("lets nobody think that it stands still while it is being stopped", async () => {
  const stopping = Promise.withResolvers<void>();
  const stillness = new Stillness(
    () => stopping.promise,
    async () => undefined,
  );
  let held = 0;
  const all = [1, 2].map(() => stillness.hold().then(() => held++));
  await Promise.resolve();
  expect(held).toBe(0);
  stopping.resolve();
  await Promise.all(all);
  expect(held).toBe(2);
});

it("tries again after it could not be stopped, and after it could not be let go", async () => {
  let tries = 0;
  const stillness = new Stillness(
    async () => {
      if (++tries === 1) throw new Error("not now");
    },
    async () => {
      throw new Error("stuck");
    },
  );
  await expect(stillness.hold()).rejects.toThrow("not now");
  const held = await stillness.hold();
  await expect(held[Symbol.asyncDispose]()).rejects.toThrow("stuck");
  await expect(stillness.hold()).resolves.toBeDefined();
});
