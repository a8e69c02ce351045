import { basename, dirname, resolve } from "node:path";
import { jsonLines } from "./json-lines.ts";
import type { Source } from "./source.ts";

/** A local file of rows. Its name without endings is the data set. */
export function fileSource(path: string): Source {
  const file = resolve(path);
  const dataset = basename(file)
    .replace(/\.gz$/, "")
    .replace(/\.jsonl?$/, "");
  return {
    name: path,
    origin: { folder: dirname(file), dataset, revision: "", split: "" },
    rows: () => jsonLines(file, path),
  };
}
