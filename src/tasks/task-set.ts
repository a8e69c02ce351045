import { SandlotError } from "../errors.ts";
import { type Read, show } from "../problem.ts";
import type { OfficialRule } from "../verdict/official/repositories.ts";
import { hostPaths } from "./host-paths.ts";
import type { Instances } from "./instances.ts";
import type { Family } from "./reader.ts";
import { readRow } from "./readers.ts";
import type { Source, SourceRow } from "./sources/source.ts";
import type { Task } from "./task.ts";

/** Sources that are read one after the other, and what of their rows is wanted. */
export interface TaskSet {
  readonly sources: readonly Source[];
  /** The rows with these ids and no others; each must be there. */
  readonly instances?: Instances;
  /** So many of those are left out first. */
  readonly offset?: number;
  /** And at most so many taken. */
  readonly limit?: number;
  /** Undefined: told by the columns of each row. */
  readonly family?: Family;
  /** An absolute path: a copy of the family's public code. */
  readonly harness?: string;
  /** As which release of the harness rows of SWE-bench are graded; default: the latest. */
  readonly rule?: OfficialRule;
}

const MAX_PROBLEMS = 20;

/** The tasks of a set, in order, all of them: half a set is never served. Faults as `eachTask`. */
export async function readTaskSet(set: TaskSet): Promise<readonly Task[]> {
  const tasks: Task[] = [];
  for await (const task of eachTask(set)) tasks.push(task);
  return tasks;
}

/**
 * The tasks of a set, in order. Anything wrong with a wanted row is, at the end, one `invalid` error with each problem as `place: field: expected ..., got ...`: what came before it is then not to
 * be used.
 */
export async function* eachTask(set: TaskSet): AsyncGenerator<Task> {
  const placeOf = new Map<string, string>();
  const problems: string[] = [];
  const missing = new Set(set.instances?.ids);
  for await (const { source, place, row } of wantedRows(set, missing)) {
    const read = row.ok ? ofItsOwnPlace(readOf(row.value, source, set), source, set) : row;
    if (!read.ok) {
      problems.push(...read.problems.map((problem) => `${place}: ${problem}`));
      continue;
    }
    const { id } = read.value;
    const first = placeOf.get(id);
    if (first !== undefined) problems.push(`${place}: id: expected an id of its own, got ${show(id)} of ${first}`);
    placeOf.set(id, first ?? place);
    if (problems.length === 0) yield read.value;
  }
  problems.push(...absent(set, missing));
  if (problems.length > 0) throw new SandlotError("invalid", listing(problems), { field: "tasks" });
}

interface WantedRow extends SourceRow {
  readonly source: Source;
}

/** What is found is struck off `missing`: ids that are not in the set are told even where a limit ends it before. */
async function* wantedRows(set: TaskSet, missing: Set<string>): AsyncGenerator<WantedRow> {
  const { sources, instances, offset = 0, limit = Number.POSITIVE_INFINITY } = set;
  let passed = 0;
  for (const source of sources) {
    for await (const { place, row } of source.rows()) {
      const id = instances && idOf(row, source, set);
      if (instances && (id === undefined || !instances.ids.has(id))) continue;
      if (id !== undefined) missing.delete(id);
      passed += 1;
      if (passed > offset && passed <= offset + limit) yield { source, place, row };
      if (passed >= offset + limit && missing.size === 0) return;
    }
  }
}

/** What others publish names nothing of this host: a root file system at `/` would show all of it to a policy. */
function ofItsOwnPlace(read: Read<Task>, { origin }: Source, { harness }: TaskSet): Read<Task> {
  if (!read.ok || origin.revision === "") return read;
  const paths = hostPaths(read.value, harness);
  if (paths.length === 0) return read;
  const got = paths.map(show).join(" and ");
  return { ok: false, problems: [`environment: expected no path of this host in a data set of the hub, got ${got}`] };
}

/** As the row spells it, so that rows that are not wanted need not be sound; else as its task is called. */
function idOf(row: Read<unknown>, source: Source, set: TaskSet): string | undefined {
  if (!row.ok || typeof row.value !== "object" || row.value === null) return undefined;
  const { instance_id, id }: { instance_id?: unknown; id?: unknown } = row.value;
  const spelt = [instance_id, id].find((value) => typeof value === "string");
  if (spelt !== undefined) return spelt;
  const read = readOf(row.value, source, set);
  return read.ok ? read.value.id : undefined;
}

function readOf(row: unknown, { origin, family }: Source, set: TaskSet): Read<Task> {
  const { harness, rule } = set;
  const whole = { ...origin, ...(harness !== undefined && { harness }), ...(rule !== undefined && { rule }) };
  return readRow(row, whole, family ?? set.family);
}

function absent({ sources, instances }: TaskSet, missing: ReadonlySet<string>): string[] {
  const names = sources.map(({ name }) => name).join(", ");
  return [...missing].map((id) => `${instances?.name}: expected ids of rows of ${names}, got ${show(id)}`);
}

function listing(problems: readonly string[]): string {
  const more = problems.length - MAX_PROBLEMS;
  return [...problems.slice(0, MAX_PROBLEMS), ...(more > 0 ? [`and ${more} more`] : [])].join("\n");
}
