import { describe, expect, it } from "vitest";
import {
  decodeDone,
  decodeHello,
  decodeOutput,
  encodeData,
  encodeFrame,
  encodeRequest,
  FrameReader,
  MalformedFrame,
  Op,
} from "./frames.ts";

describe("frames", () => {
  it("come out whole however the bytes are cut", () => {
    const sent = [
      encodeFrame(Op.output, "a", Buffer.alloc(300, 1)),
      encodeFrame(Op.done, "x".repeat(64)),
      encodeFrame(Op.helloReply, ""),
    ];
    const bytes = Buffer.concat(sent);
    for (const size of [1, 2, 5, 7, 299, 1000]) {
      const reader = new FrameReader();
      const got = [];
      for (let at = 0; at < bytes.length; at += size) got.push(...reader.push(bytes.subarray(at, at + size)));
      expect(got.map((frame) => [frame.op, frame.id.length, frame.body.length])).toEqual([
        [Op.output, 1, 300],
        [Op.done, 64, 0],
        [Op.helloReply, 0, 0],
      ]);
    }
  });

  it("that are too long, too short or have an impossible id are malformed", () => {
    for (const bytes of [
      [255, 255, 255, 255],
      [0, 0, 0, 0],
      [1, 0, 0, 0, 1],
      [2, 0, 0, 0, 1, 1],
      [2, 0, 0, 0, 1, 255],
    ]) {
      expect(() => new FrameReader().push(Buffer.from(bytes))).toThrow(MalformedFrame);
    }
  });

  it("with a body cut short anywhere are malformed, never an out-of-range read", () => {
    const done = Buffer.alloc(48 + 3);
    done.writeUInt32LE(1, 12);
    done.writeUInt32LE(1, 16);
    done.writeUInt32LE(1, 20);
    expect(decodeDone(done).outputBytes).toBe(0);
    const hello = Buffer.alloc(16 + 11);
    hello.writeUInt32LE(1, 12);
    hello.writeUInt8(1, 16);
    expect(decodeHello(hello).calls.length).toBe(1);
    for (let size = 0; size < done.length; size++)
      expect(() => decodeDone(done.subarray(0, size))).toThrow(MalformedFrame);
    for (let size = 0; size < hello.length; size++)
      expect(() => decodeHello(hello.subarray(0, size))).toThrow(MalformedFrame);
    for (let size = 0; size < 9; size++) expect(() => decodeOutput(Buffer.alloc(size))).toThrow(MalformedFrame);
  });

  it("made of random bytes are malformed or decoded, nothing else", () => {
    let seed = 1;
    const byte = () => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return (seed >> 16) & (seed % 3 === 0 ? 255 : 3);
    };
    for (let round = 0; round < 5000; round++) {
      const body = Buffer.from(Array.from({ length: round % 90 }, byte));
      for (const decode of [decodeDone, decodeHello, decodeOutput, (bytes: Buffer) => new FrameReader().push(bytes)]) {
        try {
          decode(body);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedFrame);
        }
      }
    }
    expect(seed).toBeGreaterThan(0);
  });

  it("of a request refuse what has no place in them", () => {
    expect(() => encodeFrame(Op.start, "a b")).toThrow(/call id/);
    expect(() => encodeFrame(Op.start, "x".repeat(65))).toThrow(/call id/);
    expect(() => encodeRequest(Op.read, "a", { words: ["a\0b"] })).toThrow(/NUL/);
    expect(() => encodeRequest(Op.start, "a", { words: ["x".repeat(5_000_000)] })).toThrow(/4 MiB/);
    expect(encodeData(Buffer.alloc(600_000)).length).toBe(3);
  });
});
