import type { Seed } from "./seed.ts";

/** How a run of a seed ended: by its tests, or by the stage that it did not get past. */
export type SeedStatus =
  | "passed"
  | "failed"
  /** pytest found none, or `pytest_k` left none. */
  | "no_tests"
  /** pytest could not run them: an error while it collected, a crash. */
  | "tests_error"
  | "clone_failed"
  | "clone_timeout"
  | "install_failed"
  | "install_timeout"
  | "tests_timeout"
  /** Larger or more complex than the limits allow: nothing ran. */
  | "patch_refused"
  | "patch_failed"
  | "patch_timeout"
  /** The whole run used up its time. */
  | "run_timeout";

/** The compact result. `tail` is the end of what the last stage printed. */
export interface SeedResult extends Seed {
  readonly status: SeedStatus;
  readonly duration_s: number;
  readonly tail: string;
  /** With a patch: the same tests without it. */
  readonly before?: Pick<SeedResult, "status" | "duration_s" | "tail">;
}

const TAIL_BYTES = 2_000;

/** The end of an output, from a line's beginning where there is one. */
export function tailOf(output: Uint8Array): string {
  const bytes = Buffer.from(output);
  const text = bytes
    .subarray(Math.max(0, bytes.length - TAIL_BYTES))
    .toString("utf8")
    .trimEnd();
  return bytes.length <= TAIL_BYTES ? text : text.slice(text.indexOf("\n") + 1);
}
