import { readBundledTasks } from "../tasks/bundled.ts";
import { Catalog, type TaskSource } from "../tasks/catalog.ts";
import { readTaskFile } from "../tasks/jsonl.ts";
import type { Settings } from "./settings.ts";

/** All tasks that the settings name. Fault `invalid` with every problem of the first file that has some. */
export async function readCatalog({ config, taskFiles }: Settings): Promise<Catalog> {
  const bundled: readonly TaskSource[] = config.tasks.bundled
    ? [{ name: "bundled", tasks: await readBundledTasks() }]
    : [];
  const files = await Promise.all(taskFiles.map(async (path) => ({ name: path, tasks: await readTaskFile(path) })));
  return Catalog.from([...bundled, ...files]);
}
