import { SandlotError } from "../errors.ts";
import type { Summary } from "./rollouts.ts";

export type Condition = (summary: Summary) => boolean;

const FIELDS: Readonly<Record<string, (summary: Summary) => string>> = {
  state: (summary) => summary.state,
  ending: (summary) => summary.ending ?? "",
  task_id: (summary) => summary.taskId,
  attempt_id: (summary) => summary.attemptId,
  pool: (summary) => summary.pool,
  group: (summary) => summary.group?.id ?? "",
};

/** `key=value` conditions separated by blanks; all must hold. Fault `invalid` names what cannot be read. */
export function parseFilter(filter: string): Condition {
  const conditions = filter.split(/\s+/).filter(Boolean).map(parseCondition);
  return (summary) => conditions.every((holds) => holds(summary));
}

function parseCondition(text: string): Condition {
  const [, key = "", value = ""] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (key.startsWith("label.")) return (summary) => summary.labels[key.slice("label.".length)] === value;
  const field = Object.hasOwn(FIELDS, key) ? FIELDS[key] : undefined;
  if (field) return (summary) => field(summary) === value;
  const known = [...Object.keys(FIELDS), "label.<name>"].join(", ");
  throw new SandlotError("invalid", `expected conditions key=value with a key of ${known}; got "${text}"`, {
    field: "filter",
  });
}

/** True when the trajectory carries all of the labels; false for no labels at all: an empty filter must not release everything. */
export function carries(labels: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean {
  const pairs = Object.entries(wanted);
  return pairs.length > 0 && pairs.every(([key, value]) => labels[key] === value);
}

/** A page of what matches, newest first; a token is the id after which the page begins. */
export function page(
  all: readonly Summary[],
  { filter, pageSize, pageToken }: { filter: string; pageSize: number; pageToken: string },
): { trajectories: readonly Summary[]; nextPageToken: string } {
  const holds = parseFilter(filter);
  const found = all
    .filter(holds)
    .toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? -1 : 1));
  const after = pageToken === "" ? 0 : found.findIndex(({ id }) => id === pageToken) + 1;
  if (pageToken !== "" && after === 0)
    throw new SandlotError(
      "invalid",
      "expected a page_token from the answer before, got one that is not known (any more)",
      { field: "page_token" },
    );
  const size = pageSize || 100;
  const trajectories = found.slice(after, after + size);
  const more = found.length > after + size;
  return { trajectories, nextPageToken: more ? (trajectories.at(-1)?.id ?? "") : "" };
}
