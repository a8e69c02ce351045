import { readFileSync } from "node:fs";
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
