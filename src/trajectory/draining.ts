import { SandlotError } from "../errors.ts";

/** What a server that is about to stop answers to new work; clients try again. */
export function draining(): SandlotError {
  return new SandlotError(
    "draining",
    "this server is about to stop: try again there when it is back, or at another one",
    { retryAfterMs: 1000 },
  );
}
