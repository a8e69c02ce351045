import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { ToolState } from "../tool.ts";

/** The history is journalled whole after each edit, so it is small. */
const PER_PATH = 10;
const MAX_CHARACTERS = 1 << 20;

type History = NonNullable<ToolState["undo"]>;

/** The state once a file was changed that held `before` (null = there was none). The oldest of the file edited longest ago goes first when it is too much. */
export function remember(state: ToolState, path: string, before: Buffer | null): ToolState {
  const entry = before === null ? null : deflateRawSync(before).toString("base64");
  const { [path]: earlier = [], ...others } = state.undo ?? {};
  return { ...state, undo: bounded({ ...others, [path]: [...earlier, entry].slice(-PER_PATH) }) };
}

/** What the last edit of a file found, and the state without it; undefined when there is no history. */
export function recall(
  state: ToolState,
  path: string,
): { readonly before: Buffer | null; readonly state: ToolState } | undefined {
  const { [path]: earlier = [], ...others } = state.undo ?? {};
  const entry = earlier.at(-1);
  if (entry === undefined) return undefined;
  const left = earlier.slice(0, -1);
  const before = entry === null ? null : inflateRawSync(Buffer.from(entry, "base64"));
  return { before, state: { ...state, undo: left.length === 0 ? others : { ...others, [path]: left } } };
}

function bounded(history: History): History {
  const paths = Object.entries(history).map(([path, entries]) => ({ path, entries: [...entries] }));
  let size = paths.reduce((sum, { entries }) => sum + entries.reduce((all, entry) => all + weight(entry), 0), 0);
  for (const { entries } of paths)
    while (size > MAX_CHARACTERS && entries.length > 0) size -= weight(entries.shift() ?? null);
  return Object.fromEntries(paths.flatMap(({ path, entries }) => (entries.length === 0 ? [] : [[path, entries]])));
}

function weight(entry: string | null): number {
  return entry?.length ?? 4;
}
