import { SandlotError } from "../errors.ts";
import { DIFFICULTIES, type Task } from "./task.ts";

const KEYS = ["id", "repo", "language", "difficulty", "dataset", "playable"] as const;
type Key = (typeof KEYS)[number];

/** What these may be; the others may be any text. */
const WORDS: Readonly<Partial<Record<Key, readonly string[]>>> = {
  difficulty: DIFFICULTIES,
  playable: ["true", "false"],
};

/** Conditions that must all hold; `id` may end in `*`. `playable` depends on the host: whoever knows it decides. */
export type TaskFilter = Readonly<Partial<Record<Key, string>>>;

/** Reads `key=value` conditions separated by blanks, e.g. `language=python id=py-*`. */
export function parseTaskFilter(text: string): TaskFilter {
  const filter: Partial<Record<Key, string>> = {};
  for (const word of text.split(/\s+/).filter((part) => part !== "")) {
    const equals = word.indexOf("=");
    const key = KEYS.find((name) => name === word.slice(0, Math.max(equals, 0)));
    if (key === undefined) throw wrong(`conditions key=value with a key of ${KEYS.join(", ")}`, word);
    if (filter[key] !== undefined) throw wrong(`one condition on ${key}`, word);
    const value = word.slice(equals + 1);
    const words = WORDS[key];
    if (words && !words.includes(value)) throw wrong(`one of ${words.filter(Boolean).join(", ")} as ${key}`, value);
    filter[key] = value;
  }
  return filter;
}

/** All conditions but `playable`. */
export function matches(task: Task, filter: TaskFilter): boolean {
  const is = (wanted: string | undefined, got: string) => wanted === undefined || wanted === got;
  return (
    matchesId(task.id, filter.id) &&
    is(filter.repo, task.repo) &&
    is(filter.language, task.language) &&
    is(filter.difficulty, task.difficulty) &&
    is(filter.dataset, task.source.dataset)
  );
}

function matchesId(id: string, wanted: string | undefined): boolean {
  if (wanted?.endsWith("*")) return id.startsWith(wanted.slice(0, -1));
  return wanted === undefined || wanted === id;
}

function wrong(expected: string, got: string): SandlotError {
  return new SandlotError("invalid", `filter: expected ${expected}, got ${JSON.stringify(got)}`, { field: "filter" });
}
