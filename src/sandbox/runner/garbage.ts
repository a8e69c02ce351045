import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * How much output passes between two collections. Twice as long as the last MiB of a step's output is kept for those who read it, however often it is told on its way: what lives through two
 * collections counts as old, and V8 lets 64 MiB of old ones gather.
 */
const BYTES = 4 * 1_048_576;

let passed = 0;
let collect: (() => void) | undefined;

/**
 * Tells of bytes that came from a sandbox. They lie outside of the heap, of which a flood takes next to nothing: left to itself V8 lets 64 MiB of them gather before it looks for those that nobody
 * has any more, whoever reads the output. A collection of the young ones takes about a millisecond.
 */
export function garbageOf(bytes: number): void {
  passed += bytes;
  if (passed < BYTES) return;
  passed = 0;
  collect ??= youngCollection();
  collect();
}

function youngCollection(): () => void {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as (options: { type: "minor" }) => void; // V8's own, which that flag brings
  return () => gc({ type: "minor" });
}
