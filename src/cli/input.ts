import { readFileSync, statSync } from "node:fs";
import { SandlotError } from "../errors.ts";

/** The bytes of a file that somebody named. Fault `invalid` with what named it: an option, or what the file is for. */
export function readInput(what: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    const why = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new SandlotError("invalid", `${what}: expected a file that can be read, got ${file} (${why})`, {
      field: what.replace(/^--/, ""),
      cause,
    });
  }
}

/** The same of a key or a certificate: a pipe or a device, which could hold a server up for ever, is none. */
export function readKeyFile(what: string, file: string): Buffer {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined || (found.isFile() && found.size <= MOST_KEY_BYTES)) return readInput(what, file);
  const message = `${what}: expected a regular file of at most ${MOST_KEY_BYTES} bytes, got ${file}`;
  throw new SandlotError("invalid", message, { field: what });
}

const MOST_KEY_BYTES = 1_048_576;
