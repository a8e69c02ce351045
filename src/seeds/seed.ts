import { z } from "zod";
import { SandlotError } from "../errors.ts";
import { check, type Read } from "../problem.ts";
import type { Source } from "../tasks/sources/source.ts";
import { TaskId } from "../tasks/task.ts";

/** A public repository at a commit, and which of its tests are to run: nothing is hidden, and no reward comes of it. */
export const Seed = z.strictObject({
  task_id: TaskId,
  /** `owner/name` */
  repo: z.string().regex(/^(?![-.])[\w.-]+\/(?![-.])[\w.-]+$/, "expected owner/name"),
  /** A commit, a tag or a branch. Only a full commit id gives the same tests every time. */
  ref: z.string().regex(/^[A-Za-z0-9][\w./+-]*$/, "expected a commit id, a tag or a branch"),
  /** An expression for `pytest -k`; null: all tests. */
  pytest_k: z.string().nullable().default(null),
});
export type Seed = z.infer<typeof Seed>;

/** The seeds of a source, by id. Fault `invalid` with every problem as `place: field: expected ..., got ...`. */
export async function readSeeds(source: Source): Promise<ReadonlyMap<string, Seed>> {
  const seeds = new Map<string, Seed>();
  const problems: string[] = [];
  for await (const { place, row } of source.rows()) {
    const read: Read<Seed> = row.ok ? check(Seed, row.value) : row;
    if (!read.ok) problems.push(...read.problems.map((problem) => `${place}: ${problem}`));
    else if (seeds.has(read.value.task_id))
      problems.push(`${place}: task_id: expected an id of its own, got ${read.value.task_id} again`);
    else seeds.set(read.value.task_id, read.value);
  }
  if (problems.length > 0) throw new SandlotError("invalid", problems.join("\n"), { field: "seeds" });
  return seeds;
}
