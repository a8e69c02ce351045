import { expect, test } from "vitest";
import { Backlog } from "./backlog.ts";

test.each([1, 2, 3, 7, 64])("gives what arrived in order, when it came in parts of %i", (size) => {
  const all = Buffer.from(Array.from({ length: 64 }, (_, at) => at));
  const backlog = new Backlog();
  const taken: Buffer[] = [];
  for (let at = 0; at < all.length; at += size) {
    backlog.push(all.subarray(at, at + size));
    expect(backlog.peek(5)).toEqual(
      backlog.size < 5 ? undefined : all.subarray(5 * taken.length, 5 * taken.length + 5),
    );
    for (let piece = backlog.take(5); piece !== undefined; piece = backlog.take(5)) taken.push(piece);
    expect(backlog.size).toBeLessThan(5);
  }
  expect(Buffer.concat([...taken, backlog.take(4) ?? Buffer.alloc(0)])).toEqual(all);
  expect([backlog.size, backlog.take(1), backlog.peek(1)]).toEqual([0, undefined, undefined]);
});

test("copies nothing of what lies within one part", () => {
  const part = Buffer.from("abcdef");
  const backlog = new Backlog();
  backlog.push(part);
  expect(backlog.peek(2)?.buffer).toBe(part.buffer);
  expect(backlog.take(4)?.buffer).toBe(part.buffer);
  expect(backlog.take(2)?.toString()).toBe("ef");
});
