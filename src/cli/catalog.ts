import { readBundledTasks } from "../tasks/bundled.ts";
import { Catalog, type TaskSource } from "../tasks/catalog.ts";
import { fileSource } from "../tasks/sources/file.ts";
import { readTaskSet } from "../tasks/task-set.ts";
import type { Settings } from "./settings.ts";

/** All tasks that the settings name. Fault `invalid` with every problem of the first file that has some. */
export async function readCatalog({ config, taskFiles }: Settings): Promise<Catalog> {
  const bundled: readonly TaskSource[] = config.tasks.bundled
    ? [{ name: "bundled", tasks: await readBundledTasks() }]
    : [];
  const files = await Promise.all(
    taskFiles.map(async (path) => ({ name: path, tasks: await readTaskSet(fileSource(path)) })),
  );
  return Catalog.from([...bundled, ...files]);
}
