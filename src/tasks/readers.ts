import { type Read, show } from "../problem.ts";
import { own } from "./own.ts";
import type { RowOrigin, RowReader } from "./reader.ts";
import { swebench } from "./swebench.ts";
import type { Task } from "./task.ts";

/** Asked in order; the last one claims every row. */
const READERS: readonly RowReader[] = [swebench, own];

/** The task of a row, of whichever format it is, or every problem that it has. */
export function readRow(row: unknown, origin: RowOrigin): Read<Task> {
  if (typeof row !== "object" || row === null || Array.isArray(row)) {
    return { ok: false, problems: [`(row): expected an object, got ${show(row)}`] };
  }
  const reader = READERS.find((one) => one.claims(row)) ?? own;
  return reader.read(row, origin);
}
