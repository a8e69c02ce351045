import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import type { ExecResult } from "../sandbox/sandbox.ts";

export interface GatheredLog {
  /** In memory that threads share: judging it elsewhere costs no copy here. */
  readonly log: Uint8Array;
  readonly logSha256: string;
}

const PIECE_BYTES = 1024 * 1024;

/** The output of a run as one, with its digest. A log can have 64 MiB: others get their turn after every piece. */
export async function gatherLog(output: ExecResult["output"]): Promise<GatheredLog> {
  const log = new Uint8Array(new SharedArrayBuffer(output.reduce((sum, { data }) => sum + data.length, 0)));
  const digest = createHash("sha256");
  let length = 0;
  for (const { data } of output) {
    for (let from = 0; from < data.length; from += PIECE_BYTES) {
      const piece = data.subarray(from, from + PIECE_BYTES);
      log.set(piece, length);
      digest.update(piece);
      length += piece.length;
      if (data.length > PIECE_BYTES) await setImmediate();
    }
  }
  return { log, logSha256: digest.digest("hex") };
}
