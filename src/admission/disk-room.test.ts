import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { diskLack } from "./disk-room.ts";

test("a disk with too little left is told in words", async () => {
  expect(await diskLack(tmpdir(), 0)).toBeUndefined();
  expect(await diskLack(tmpdir(), 2 ** 40)).toMatch(/has \d+ MiB left, less than the 1099511627776 MiB/);
});
