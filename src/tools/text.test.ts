import { expect, test } from "vitest";
import type { OutputChunk } from "../sandbox/sandbox.ts";
import { capText, clipped, showOutput } from "./text.ts";

const whole = (data: Buffer): OutputChunk[] => [{ offset: 0, stream: "stdout", data }];
const GAP = /\[\.\.\. (\d+) bytes left out here \.\.\.\]\n/;

test("output that fits is shown as it is, both streams in order of arrival", () => {
  const chunks: OutputChunk[] = [
    { offset: 0, stream: "stdout", data: Buffer.from("a ä") },
    { offset: 4, stream: "stderr", data: Buffer.from("b") },
  ];
  expect(showOutput(chunks, 5, { limitBytes: 5 })).toEqual({ text: "a äb", cut: false });
});

test("a code point that comes in two chunks is one", () => {
  const [first, second] = [Buffer.from("ä").subarray(0, 1), Buffer.from("ä").subarray(1)];
  const chunks: OutputChunk[] = [
    { offset: 0, stream: "stdout", data: first },
    { offset: 1, stream: "stdout", data: second },
  ];
  expect(showOutput(chunks, 2, { limitBytes: 100 }).text).toBe("ä");
});

test("bytes that are no UTF-8 are replaced, and a BOM stays", () => {
  expect(showOutput(whole(Buffer.from([0x61, 0xff, 0x62])), 3, { limitBytes: 100 }).text).toBe("a\ufffdb");
  expect(showOutput(whole(Buffer.from("\ufeffx")), 4, { limitBytes: 100 }).text).toBe("\ufeffx");
});

test("a hole in what was kept is counted and the file that has it is named", () => {
  const chunks: OutputChunk[] = [
    { offset: 0, stream: "stdout", data: Buffer.from("head\n") },
    { offset: 1_000_000, stream: "stdout", data: Buffer.from("tail\n") },
  ];
  const { text, cut } = showOutput(chunks, 1_000_005, { limitBytes: 1000, where: "the output is in /tmp/spill" });
  expect(text).toBe("head\n[... 999995 bytes left out here; the output is in /tmp/spill ...]\ntail\n");
  expect(cut).toBe(true);
});

test("output of which nothing was kept is a gap", () => {
  expect(showOutput([], 10, { limitBytes: 1000 }).text).toBe("[... 10 bytes left out here ...]\n");
  expect(showOutput([], 0, { limitBytes: 1000 })).toEqual({ text: "", cut: false });
});

test("whatever the bytes, the text is within its limit, cuts no code point and counts every byte left out", () => {
  const random = generator(7);
  const units = ["a", "\n", "ä", "漢", "🙂"].map((unit) => Buffer.from(unit));
  for (let round = 0; round < 400; round++) {
    const valid = round % 2 === 0;
    const pieces = Array.from({ length: random(400) }, () =>
      valid ? (units[random(units.length)] ?? Buffer.alloc(0)) : Buffer.from([random(256)]),
    );
    const bytes = Buffer.concat(pieces);
    const limitBytes = 80 + random(300);
    const { text, cut } = showOutput(whole(bytes), bytes.length, { limitBytes });
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(limitBytes);
    if (!cut) expect(text).toBe(bytes.toString());
    if (!cut || !valid) continue;
    expect(text).not.toContain("\ufffd");
    const [head = "", omitted = "", tail = ""] = text.split(GAP);
    const shown = Buffer.byteLength(head) + Buffer.byteLength(tail);
    expect([0, 1]).toContain(shown + Number(omitted) - bytes.length); // a newline may have been put before the gap
    expect(bytes.toString().endsWith(tail)).toBe(true);
  }
});

test("a limit smaller than the line that tells of the gap leaves that line", () => {
  expect(capText("x".repeat(1000), 1)).toBe("[... 1000 bytes left out here ...]\n");
});

test("a clipped text ends with a whole line", () => {
  expect(clipped("one\ntwo\nthree\n", 9)).toBe("one\ntwo\n");
  expect(clipped("ääää", 5)).toBe("ää");
  expect(clipped("short", 5)).toBeUndefined();
});

/** The same numbers in every run. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * below);
  };
}
