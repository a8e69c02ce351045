import type { Read } from "../../problem.ts";
import type { Family, RowOrigin } from "../reader.ts";

/** Rows and where each stands. A source knows files, downloads and slices, and nothing of what makes a task. */
export interface Source {
  /** For messages: a path as it was given, or `ID@REVISION:SPLIT`. */
  readonly name: string;
  readonly origin: RowOrigin;
  /** Where a source holds rows of one family only. */
  readonly family?: Family;
  /** In order. Throws fault `invalid` when the source as a whole cannot be read. */
  rows(): AsyncIterable<SourceRow>;
}

export interface SourceRow {
  /** `FILE:LINE`, or `FILE[INDEX]` where a file has no lines. */
  readonly place: string;
  /** The row as plain JSON, or why there is none. */
  readonly row: Read<unknown>;
}
