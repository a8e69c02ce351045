import { SandlotError } from "../errors.ts";
import { show } from "../problem.ts";
import { readRow } from "./readers.ts";
import type { Source } from "./sources/source.ts";
import type { Task } from "./task.ts";

const MAX_PROBLEMS = 20;

/**
 * The tasks of a source, in its order. Anything wrong is one `invalid` error with each problem as `place: field: expected ..., got ...`;
 * half a source is never served.
 */
export async function readTaskSet(source: Source): Promise<readonly Task[]> {
  const tasks: Task[] = [];
  const placeOf = new Map<string, string>();
  const problems: string[] = [];
  for await (const { place, row } of source.rows()) {
    const read = row.ok ? readRow(row.value, source.origin) : row;
    if (!read.ok) {
      problems.push(...read.problems.map((problem) => `${place}: ${problem}`));
      continue;
    }
    const first = placeOf.get(read.value.id);
    if (first !== undefined) {
      problems.push(`${place}: id: expected an id of its own, got ${show(read.value.id)} of ${first}`);
    }
    placeOf.set(read.value.id, first ?? place);
    tasks.push(read.value);
  }
  if (problems.length > 0) throw new SandlotError("invalid", listing(problems), { field: "tasks" });
  return tasks;
}

function listing(problems: readonly string[]): string {
  const more = problems.length - MAX_PROBLEMS;
  return [...problems.slice(0, MAX_PROBLEMS), ...(more > 0 ? [`and ${more} more`] : [])].join("\n");
}
