import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { SandlotError } from "../../errors.ts";

/** The chunks of a file, unpacked if its path ends in `.gz`. Fault `invalid` when it cannot be read to its end. */
export async function* chunks(file: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of open(file)) yield chunk;
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

/** What stands in the place of the rows of a file that cannot be read. */
export function unreadable(file: string, cause: unknown): SandlotError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `expected a readable file of tasks at ${file}, got ${reason}`;
  return new SandlotError("invalid", message, { field: "tasks", cause });
}

function open(file: string): Readable {
  const bytes = createReadStream(file);
  if (!file.endsWith(".gz")) return bytes;
  const gunzip = createGunzip();
  // A failure of either stream destroys the other; the reader of `gunzip` gets the error.
  pipeline(bytes, gunzip).catch(() => undefined);
  return gunzip;
}
