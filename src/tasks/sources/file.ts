import { dirname, resolve } from "node:path";
import { SandlotError } from "../../errors.ts";
import { ENDINGS, formatOf, stemOf } from "./formats.ts";
import type { Source } from "./source.ts";

/** A local file of rows. Its name without its ending is the data set. */
export function fileSource(path: string): Source {
  const file = resolve(path);
  const format = formatOf(file);
  if (format === undefined) {
    const message = `tasks: expected a file that ends in ${ENDINGS}, got ${JSON.stringify(path)}`;
    throw new SandlotError("invalid", message, { field: "tasks" });
  }
  return {
    name: path,
    origin: { folder: dirname(file), dataset: stemOf(file), revision: "", split: "" },
    rows: () => format(file, path),
  };
}
