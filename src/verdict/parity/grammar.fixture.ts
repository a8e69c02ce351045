/**
 * What the logs of each kind of test program are made of. A line is written with slots: {n} a test's name, {d} digits, {w} white space, {t} a
 * duration, {i} an indentation, {s} a status, {x} anything.
 */
export interface Grammar {
  readonly parsers: readonly string[];
  readonly lines: readonly string[];
  /** What most logs begin with, where nothing is read before it. */
  readonly opening?: string;
  /** Words that mean something to the parser, to be strewn anywhere. */
  readonly words: readonly string[];
  /** Instances that it tells apart. */
  readonly ids?: readonly string[];
  readonly versions?: readonly string[];
  /** Logs that are known to be read otherwise. */
  readonly except?: RegExp;
}

/** Of pytest, and one that is none to the parsers. */
export const STATUSES = ["PASSED", "FAILED", "SKIPPED", "ERROR", "XFAIL", "XPASS"];
