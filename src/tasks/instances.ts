import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import { z } from "zod";
import { SandlotError } from "../errors.ts";
import { check, show } from "../problem.ts";
import { TaskId } from "./task.ts";

/** A slice of a data set, pinned by ids. */
export interface Instances {
  /** The file, for messages. */
  readonly name: string;
  readonly dataset: string;
  readonly splits: readonly string[];
  /** Of all splits. */
  readonly ids: ReadonlySet<string>;
}

const InstancesFile = z.strictObject({
  dataset: z.string().min(1),
  /** Ids by split. */
  instances: z
    .record(z.string().min(1), z.array(TaskId).min(1))
    .refine((splits) => Object.keys(splits).length > 0, "expected at least one split with ids"),
});

/** Reads a file such as `config/instances_i0.yaml`. Fault `invalid` with every problem. */
export async function readInstances(path: string): Promise<Instances> {
  const read = check(InstancesFile, await parseFile(path));
  if (!read.ok) throw wrong(read.problems.map((problem) => `${path}: ${problem}`));
  const { dataset, instances } = read.value;
  const ids = Object.values(instances).flat();
  const twice = ids.filter((id, index) => ids.indexOf(id) !== index);
  if (twice.length > 0)
    throw wrong(twice.map((id) => `${path}: instances: expected each id once, got ${show(id)} twice`));
  return { name: path, dataset, splits: Object.keys(instances), ids: new Set(ids) };
}

async function parseFile(path: string): Promise<unknown> {
  try {
    return parse(await readFile(path, "utf8"));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw wrong([`expected a readable YAML file of instances at ${path}, got ${reason}`]);
  }
}

function wrong(problems: readonly string[]): SandlotError {
  return new SandlotError("invalid", problems.join("\n"), { field: "instances" });
}
