import { json } from "./json.ts";
import { jsonLines } from "./json-lines.ts";
import { parquet } from "./parquet.ts";
import type { SourceRow } from "./source.ts";

/** The rows of a file, in order. `name` is the file in messages and places. */
type Format = (file: string, name: string) => AsyncIterable<SourceRow>;

const FORMATS: ReadonlyMap<string, Format> = new Map([
  [".jsonl", jsonLines],
  [".jsonl.gz", jsonLines],
  [".ndjson", jsonLines],
  [".json", json],
  [".json.gz", json],
  [".parquet", parquet],
]);

export const ENDINGS = [...FORMATS.keys()].join(", ");

export function formatOf(path: string): Format | undefined {
  return FORMATS.get(endingOf(path) ?? "");
}

/** A file's name without its folder and its ending. */
export function stemOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return name.slice(0, name.length - (endingOf(name)?.length ?? 0)) || name;
}

function endingOf(path: string): string | undefined {
  return [...FORMATS.keys()].find((ending) => path.endsWith(ending));
}
