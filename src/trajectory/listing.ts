import { SandlotError } from "../errors.ts";
import { ENDINGS, STATES, type Summary } from "./rollouts.ts";

export type Condition = (summary: Summary) => boolean;

interface Field {
  readonly of: (summary: Summary) => string;
  /** What it may be; without them any text. */
  readonly words?: readonly string[];
}

const FIELDS: Readonly<Record<string, Field>> = {
  state: { of: (summary) => summary.state, words: STATES },
  ending: { of: (summary) => summary.ending ?? "", words: ENDINGS },
  task_id: { of: (summary) => summary.taskId },
  attempt_id: { of: (summary) => summary.attemptId },
  pool: { of: (summary) => summary.pool },
  group: { of: (summary) => summary.group?.id ?? "" },
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
  if (!field)
    throw wrong(`conditions key=value with a key of ${[...Object.keys(FIELDS), "label.<name>"].join(", ")}`, text);
  if (field.words && !field.words.includes(value)) throw wrong(`one of ${field.words.join(", ")} as ${key}`, value);
  return (summary) => field.of(summary) === value;
}

function wrong(expected: string, got: string): SandlotError {
  const message = `filter: expected ${expected}, got ${JSON.stringify(got.slice(0, 200))}`;
  return new SandlotError("invalid", message, { field: "filter" });
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
      "page_token: expected the next_page_token of the answer before, got one that is not known (any more)",
      { field: "page_token" },
    );
  const size = pageSize || 100;
  const trajectories = found.slice(after, after + size);
  const more = found.length > after + size;
  return { trajectories, nextPageToken: more ? (trajectories.at(-1)?.id ?? "") : "" };
}
