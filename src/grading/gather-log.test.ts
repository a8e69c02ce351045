import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { gatherLog } from "./gather-log.ts";

const MIB = 1024 * 1024;

it("a log is gathered whole, in shared memory, with its digest", async () => {
  const parts = [Buffer.from("first\n"), Buffer.alloc(3 * MIB + 1, "_"), Buffer.alloc(0), Buffer.from("last")];
  const output = parts.map((data) => ({ offset: 0, stream: "stdout" as const, data }));
  const { log, logSha256 } = await gatherLog(output);
  const whole = Buffer.concat(parts);
  expect(Buffer.compare(log, whole)).toBe(0);
  expect(log.buffer).toBeInstanceOf(SharedArrayBuffer);
  expect(logSha256).toBe(createHash("sha256").update(whole).digest("hex"));
});

it("others get their turn while a large log is gathered", async () => {
  let turns = 0;
  const pulse = setInterval(() => (turns += 1), 0);
  await gatherLog([{ offset: 0, stream: "stdout", data: Buffer.alloc(64 * MIB, "_") }]);
  clearInterval(pulse);
  expect(turns).toBeGreaterThan(5);
});
