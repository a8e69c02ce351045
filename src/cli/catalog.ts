import { resolve } from "node:path";
import type { TaskSetConfig } from "../config.ts";
import { SandlotError } from "../errors.ts";
import { readBundledTasks } from "../tasks/bundled.ts";
import { Catalog, type TaskSource } from "../tasks/catalog.ts";
import { readInstances } from "../tasks/instances.ts";
import { FAMILIES, type Family } from "../tasks/reader.ts";
import { HubCache } from "../tasks/sources/hub/cache.ts";
import type { HubAccess } from "../tasks/sources/hub/dataset.ts";
import { readLock } from "../tasks/sources/hub/dataset-lock.ts";
import { Hub } from "../tasks/sources/hub/hub.ts";
import { openSource, placeOf } from "../tasks/sources/open.ts";
import { playedOn, type Task } from "../tasks/task.ts";
import { eachTask, readTaskSet, type TaskSet } from "../tasks/task-set.ts";
import { clearProgress, progress } from "./print.ts";
import type { Settings } from "./settings.ts";

/** All tasks that the settings name. Fault `invalid` with every problem of the first set that has some. The signal ends what is fetched for it. */
export async function readCatalog(settings: Settings, signal?: AbortSignal): Promise<Catalog> {
  const bundled: readonly TaskSource[] = settings.config.tasks.bundled
    ? [{ name: "bundled", tasks: await readBundledTasks() }]
    : [];
  const sets = await Promise.all(settings.taskSets.map((set) => readSet(set, settings, signal)));
  return Catalog.from([...bundled, ...sets]);
}

/** Absolute paths of everything on this host that holds tasks, with their answers. */
export function filesOfTasks({ taskSets, hub }: Settings): readonly string[] {
  const places = taskSets.flatMap(({ from }) => from.map(placeOf));
  const files = places.flatMap((place) => (place.type === "file" ? [resolve(place.path)] : []));
  const harnesses = taskSets.flatMap(({ harness }) => (harness === "" ? [] : [resolve(harness)]));
  return [...files, ...harnesses, hub.cache];
}

/** The hub as the settings have it, with a cache below the state folder. */
export async function openHub({ hub, credentials }: Settings, signal?: AbortSignal): Promise<HubAccess> {
  const client = new Hub({ endpoint: hub.endpoint, token: credentials.hubToken, signal });
  return { cache: new HubCache({ hub: client, folder: hub.cache, report: progress }), lock: await readLock(hub.lock) };
}

/** The tasks of the sets, one after the other, without holding them all. Faults as `eachTask`. */
export async function* eachTaskOf(sets: readonly TaskSetConfig[], settings: Settings): AsyncGenerator<Task> {
  for (const set of sets) {
    const tasks = eachTask(await openSet(set, () => openHub(settings)).finally(clearProgress));
    for await (const task of tasks) yield placed(task, set);
  }
}

async function readSet(config: TaskSetConfig, settings: Settings, signal?: AbortSignal): Promise<TaskSource> {
  const set = await openSet(config, () => openHub(settings, signal)).finally(clearProgress);
  const tasks = (await readTaskSet(set)).map((task) => placed(task, config));
  return { name: set.sources.map(({ name }) => name).join(", "), tasks };
}

const placed = (task: Task, { backend }: TaskSetConfig): Task => (backend === "" ? task : playedOn(task, backend));

async function openSet(config: TaskSetConfig, hub: () => Promise<HubAccess>): Promise<TaskSet> {
  const { from, instances, offset, limit, harness, rule } = config;
  const family = familyOf(config);
  const slice = instances === "" ? undefined : await readInstances(instances);
  const named = slice === undefined ? [] : slice.splits.map((split) => `hf:${slice.dataset}:${split}`);
  const sources = [];
  for (const text of from.length > 0 ? from : named) sources.push(await openSource(text, hub));
  return {
    ...{ sources, offset, rule },
    ...(slice && { instances: slice }),
    ...(limit > 0 && { limit }),
    ...(family && { family }),
    ...(harness !== "" && { harness: resolve(harness) }),
  };
}

function familyOf({ family }: TaskSetConfig): Family | undefined {
  const known = FAMILIES.find((one) => one === family);
  if (known !== undefined || family === "") return known;
  const message = `family: expected one of ${FAMILIES.join(", ")}, got ${JSON.stringify(family)}`;
  throw new SandlotError("invalid", message, { field: "tasks" });
}
