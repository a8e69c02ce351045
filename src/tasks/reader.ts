import type { Read } from "../problem.ts";
import type { Task } from "./task.ts";

/** Where a row was read: decides its `source`, and relative paths resolve against `folder`. */
export interface RowOrigin {
  /** Absolute. */
  readonly folder: string;
  readonly dataset: string;
  /** A commit id of the data set; empty for a local file. */
  readonly revision: string;
  readonly split: string;
}

/** A format of rows. A reader makes tasks and knows nothing of files, downloads and slices. */
export interface RowReader {
  /** Whether a row is of this format, told by its columns. */
  claims(row: object): boolean;
  read(row: object, origin: RowOrigin): Read<Task>;
}
