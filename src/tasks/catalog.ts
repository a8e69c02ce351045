import { SandlotError } from "../errors.ts";
import { matches, type TaskFilter } from "./filter.ts";
import type { Task } from "./task.ts";

export interface TaskSource {
  /** For messages: a file, or `bundled`. */
  readonly name: string;
  readonly tasks: readonly Task[];
}

/** All tasks this server offers, in the order of their sources. */
export class Catalog {
  readonly #tasks: ReadonlyMap<string, Task>;

  private constructor(tasks: ReadonlyMap<string, Task>) {
    this.#tasks = tasks;
  }

  /** Fails with `invalid` when two sources claim one id. */
  static from(sources: readonly TaskSource[]): Catalog {
    const tasks = new Map<string, Task>();
    const owner = new Map<string, string>();
    for (const source of sources) {
      for (const task of source.tasks) {
        const first = owner.get(task.id);
        if (first !== undefined) {
          const message = `expected one task with the id ${task.id}, got one in ${first} and one in ${source.name}`;
          throw new SandlotError("invalid", message, { field: "tasks" });
        }
        owner.set(task.id, source.name);
        tasks.set(task.id, task);
      }
    }
    return new Catalog(tasks);
  }

  get size(): number {
    return this.#tasks.size;
  }

  get(id: string): Task {
    const task = this.#tasks.get(id);
    if (task !== undefined) return task;
    const got = JSON.stringify(id.slice(0, 128));
    const message = `task_id: expected the id of one of ${this.size} tasks (\`sandlot tasks\` lists them), got ${got}`;
    throw new SandlotError("not_found", message, { field: "task_id" });
  }

  /** The condition `playable` is left to the caller. */
  list(filter: TaskFilter = {}): readonly Task[] {
    return [...this.#tasks.values()].filter((task) => matches(task, filter));
  }
}
