import { createHash } from "node:crypto";
import type { Task } from "../tasks/task.ts";
import type { Row } from "./row.ts";

/** Which tasks become rows, and on which side. All of it depends on the task alone, and on the seed: more tasks later move none of those that are there. */
export interface Selection {
  /** Empty = all. */
  readonly repos: ReadonlySet<string>;
  readonly difficulties: ReadonlySet<string>;
  /** Only these, such as those that were proven to be playable; undefined = all. */
  readonly ids: ReadonlySet<string> | undefined;
  /** Of the tasks, this share goes to `val`. */
  readonly val: number;
  readonly seed: number;
}

export function isWanted(task: Task, { repos, difficulties, ids }: Selection): boolean {
  return (
    (repos.size === 0 || repos.has(task.repo)) &&
    (difficulties.size === 0 || difficulties.has(task.difficulty)) &&
    (ids === undefined || ids.has(task.id))
  );
}

export function splitOf(task: Pick<Task, "id">, { val, seed }: Pick<Selection, "val" | "seed">): Row["split"] {
  return lot(task.id, seed) < val ? "val" : "train";
}

/** A number of [0, 1) that is drawn for the task. */
function lot(id: string, seed: number): number {
  return createHash("sha256").update(`${seed} ${id}`).digest().readUIntBE(0, 6) / 2 ** 48;
}
