import { describe, expect, it } from "vitest";
import { KeptOutput } from "./output.ts";

const chunk = (offset: number, text: string, stream: "stdout" | "stderr" = "stdout") => ({
  offset,
  stream,
  data: Buffer.from(text),
});
const shown = (output: KeptOutput, keep: number, total: number) =>
  output.finish(keep, total).map((part) => [part.offset, part.stream, Buffer.from(part.data).toString()]);

describe("kept output", () => {
  it("is all there, joined by stream, when it fits", () => {
    const output = new KeptOutput(100);
    for (const part of [chunk(0, "ab"), chunk(2, "cd"), chunk(4, "e", "stderr"), chunk(5, "f")]) output.add(part);
    expect(shown(output, 100, 6)).toEqual([
      [0, "stdout", "abcd"],
      [4, "stderr", "e"],
      [5, "stdout", "f"],
    ]);
  });

  it("is cut to head and tail as the runner keeps them, in whatever pieces it came", () => {
    const text = Array.from({ length: 1000 }, (_, i) => String.fromCharCode(97 + (i % 26))).join("");
    for (const size of [1, 3, 7, 64, 1000]) {
      const output = new KeptOutput(20);
      for (let at = 0; at < text.length; at += size) output.add(chunk(at, text.slice(at, at + size)));
      expect(shown(output, 20, 1000)).toEqual([
        [0, "stdout", text.slice(0, 10)],
        [990, "stdout", text.slice(990)],
      ]);
    }
  });

  it("holds little of what passes by", () => {
    const output = new KeptOutput(1000);
    for (let at = 0; at < 1_000_000; at += 100) output.add({ offset: at, stream: "stdout", data: new Uint8Array(100) });
    expect(output.chunks.reduce((sum, part) => sum + part.data.length, 0)).toBeLessThan(2000);
  });

  it("is held in few pieces, however small those were that came", () => {
    const output = new KeptOutput(100_000);
    const data = new Uint8Array(1);
    for (let at = 0; at < 150_000; at++) output.add({ offset: at, stream: "stdout", data });
    expect(output.chunks.length).toBeLessThan(1000);
  });
});
