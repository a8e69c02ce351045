import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { SandlotError } from "../../errors.ts";
import type { Dial, Line, Stream } from "./line.ts";

/** How many bytes the secret of a byte stream has: the first that a runner reads. The host keeps it for as long as the sandbox lives, and shows it to nobody. */
export const secretBytes = 32;
const tagBytes = 8;
const meetTimeoutMs = 20_000;
const attempts = 4;
const wordsBytes = 2_000;

/**
 * Dials a runner that has its frames on standard input and output (`sandlot-runner stream`), carried by `attach`: raw bytes both ways, beginning and ending anywhere. The secret finds the place
 * in both directions (runner/README.md). `attach` is bounded in time itself.
 */
export function byteStreamDial(attach: () => Promise<Stream>, secret: Uint8Array): Dial {
  return async () => {
    for (let attempt = 1; ; attempt++) {
      const stream = await attach();
      stream.on("error", () => undefined);
      try {
        return await meet(stream, secret);
      } catch (error) {
        stream.destroy();
        if (!(error instanceof StreamEnded) || attempt === attempts) throw error;
      }
      await sleep(50 * attempt);
    }
  };
}

/** The stream closed before the runner answered: `attach` knows whether there is still one. */
class StreamEnded extends SandlotError {}

/** Resolves when the runner has answered; what it wrote to others before that is dropped. */
async function meet(stream: Stream, secret: Uint8Array): Promise<Line> {
  const tag = randomBytes(tagBytes);
  const answer = Buffer.concat([secret, tag]);
  const met = untilAnswer(stream, answer);
  stream.write(answer);
  await met;
  return { stream, tag };
}

function untilAnswer(stream: Stream, answer: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    let rest: Buffer = Buffer.alloc(0);
    const hear = (arrived: Buffer) => {
      const bytes = Buffer.concat([rest, arrived]);
      const at = bytes.indexOf(answer);
      rest = bytes.subarray(-Math.max(answer.length, wordsBytes));
      if (at < 0) return;
      leave();
      stream.pause();
      const next = bytes.subarray(at + answer.length);
      if (next.length > 0) stream.unshift(next);
      resolve();
    };
    const fail = (Kind: typeof SandlotError, why: string) => {
      leave();
      const words = rest
        .toString("latin1")
        .replace(/[^ -~\n]+/g, " ")
        .trim();
      const told = words === "" ? "" : `; it said: ${words.slice(-500)}`;
      reject(new Kind("sandbox", `the runner did not answer: ${why}${told}`));
    };
    const ended = () => fail(StreamEnded, "its stream ended");
    const late = setTimeout(() => fail(SandlotError, `nothing came within ${meetTimeoutMs} ms`), meetTimeoutMs);
    const leave = () => {
      clearTimeout(late);
      stream.off("data", hear).off("close", ended).off("end", ended);
    };
    stream.on("data", hear).on("close", ended).on("end", ended);
    if (stream.closed) ended();
  });
}
