import type { Read } from "../problem.ts";
import type { OfficialRule } from "../verdict/official/repositories.ts";
import type { Task } from "./task.ts";

/** Where a row was read: decides its `source`, and relative paths resolve against `folder`. */
export interface RowOrigin {
  /** Absolute. */
  readonly folder: string;
  readonly dataset: string;
  /** A commit id of the data set; empty for a local file. */
  readonly revision: string;
  readonly split: string;
  /** An absolute path: a copy of the family's public code, for what rows leave to it. Undefined: none. */
  readonly harness?: string;
  /** As which release of the harness rows of SWE-bench are graded; undefined: the latest. Other families have a rule of their own. */
  readonly rule?: OfficialRule;
}

export const FAMILIES = [
  "sandlot",
  "swe-bench",
  "swe-smith",
  "r2e-gym",
  "swe-gym",
  "swe-rebench",
  "swe-rebench-v2",
  "swe-bench-live",
  "swe-bench-pro",
  "multi-swe-bench",
  "harbor",
] as const;

/** Data sets whose rows have one form, and one way to be graded. */
export type Family = (typeof FAMILIES)[number];

/** A format of rows. A reader makes tasks and knows nothing of files, downloads and slices. */
export interface RowReader {
  readonly family: Family;
  /** Whether a row is of this format, told by its columns. Of a published row one reader alone says so. */
  claims(row: object): boolean;
  read(row: object, origin: RowOrigin): Read<Task>;
}
