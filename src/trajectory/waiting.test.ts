import { expect, test } from "vitest";
import { page, parseFilter } from "./listing.ts";
import { LiveOutput } from "./live-output.ts";
import { SerialQueue } from "./queue.ts";
import type { Summary } from "./rollouts.ts";
import { Bell, waitFor } from "./waiting.ts";

test("the end of waiting does not end the work", async () => {
  const work = Promise.withResolvers<string>();
  const stop = new AbortController();
  const waited = waitFor(work.promise, { signal: stop.signal });
  stop.abort(new Error("client gone"));
  await expect(waited).rejects.toThrow("client gone");
  work.resolve("done");
  await expect(waitFor(work.promise, { signal: AbortSignal.timeout(1000) })).resolves.toBe("done");
});

test("a bell wakes all who wait, and lets go of those whose time or signal is over", async () => {
  const bell = new Bell();
  const waiters = [bell.next(10_000), bell.next(10_000), bell.next(1), bell.next(10_000, AbortSignal.abort())];
  expect(await waiters[2]).toBe(false);
  bell.ring();
  expect(await Promise.all(waiters)).toEqual([true, true, false, false]);
});

test("queued work runs in order, and what fails does not hold up the rest", async () => {
  const queue = new SerialQueue();
  const order: number[] = [];
  const gate = Promise.withResolvers<void>();
  const first = queue.run(() => gate.promise.then(() => order.push(1)));
  const second = queue.run(async () => {
    order.push(2);
    throw new Error("second");
  });
  const third = queue.run(async () => order.push(3));
  expect(queue.length).toBe(3);
  gate.resolve();
  await first;
  await expect(second).rejects.toThrow("second");
  await third;
  expect(order).toEqual([1, 2, 3]);
  await queue.idle();
  expect(queue.length).toBe(0);
});

test("readers of live output go at their own speed, and what was dropped shows as a jump of the offset", async () => {
  const output = new LiveOutput(8);
  const push = (offset: number, text: string) => output.push({ offset, stream: "stdout", data: Buffer.from(text) });
  push(0, "aaaa");
  push(4, "bbbb");
  const reader = output.read(0, 10_000, new AbortController().signal)[Symbol.asyncIterator]();
  expect((await reader.next()).value).toMatchObject({ offset: 0 });
  push(8, "cccc");
  push(12, "dddd");
  push(8, "cccc"); // sent again after a re-attach
  expect((await reader.next()).value).toMatchObject({ offset: 8 });
  expect((await reader.next()).value).toMatchObject({ offset: 12 });
  output.finish();
  expect((await reader.next()).done).toBe(true);
});

test("the output of a second command counts on after the first", async () => {
  const output = new LiveOutput();
  output.push({ offset: 0, stream: "stdout", data: Buffer.from("one") });
  output.nextCommand(3);
  output.push({ offset: 0, stream: "stdout", data: Buffer.from("two") });
  output.finish();
  const offsets: (number | undefined)[] = [];
  for await (const chunk of output.read(0, 10, new AbortController().signal)) offsets.push(chunk?.offset);
  expect(offsets).toEqual([0, 3]);
});

test("output that comes byte by byte is held in few pieces, and read whole", async () => {
  const output = new LiveOutput();
  const data = Buffer.alloc(1);
  const push = (from: number, to: number) => {
    for (let offset = from; offset < to; offset++) output.push({ offset, stream: "stdout", data });
  };
  const pieces: [number, number][] = [];
  push(0, 5_000);
  for await (const chunk of output.read(0, 1, new AbortController().signal)) {
    if (chunk) pieces.push([chunk.offset, chunk.offset + chunk.data.length]);
    else if (output.end === 5_000) push(5_000, 10_000);
    else output.finish();
  }
  expect(pieces.length).toBeLessThan(10);
  const gaps = pieces.filter(([offset], at) => at > 0 && offset > (pieces[at - 1]?.[1] ?? 0));
  expect([gaps, pieces.at(-1)?.[1]]).toEqual([[], 10_000]);
});

const summary = (id: string, at: number, extra: Partial<Summary> = {}): Summary =>
  ({
    id,
    createdAt: new Date(at),
    state: "ACTIVE",
    labels: {},
    taskId: "t",
    pool: "default",
    attemptId: id,
    ...extra,
  }) as Summary; // listing reads no more

test("a filter names state, task, labels; what cannot be read is refused by name", () => {
  const holds = parseFilter("state=ACTIVE label.run_id=a");
  expect(holds(summary("1", 1, { labels: { run_id: "a" } }))).toBe(true);
  expect(holds(summary("1", 1, { labels: { run_id: "b" } }))).toBe(false);
  expect(() => parseFilter("colour=red")).toThrow(/state, ending, task_id.*"colour=red"/);
  expect(() => parseFilter("hasOwnProperty=1")).toThrow(/expected conditions/);
});

test("pages follow each other, newest first, without gaps", () => {
  const all = [1, 2, 3, 4, 5].map((at) => summary(`id${at}`, at));
  const first = page(all, { filter: "", pageSize: 2, pageToken: "" });
  expect(first.trajectories.map(({ id }) => id)).toEqual(["id5", "id4"]);
  const second = page(all, { filter: "", pageSize: 10, pageToken: first.nextPageToken });
  expect(second.trajectories.map(({ id }) => id)).toEqual(["id3", "id2", "id1"]);
  expect(second.nextPageToken).toBe("");
  expect(() => page(all, { filter: "", pageSize: 1, pageToken: "nobody" })).toThrow(/page_token/);
});
