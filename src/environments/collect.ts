import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Shelf } from "../shelf/shelf.ts";

export interface Collection {
  readonly environments: Shelf;
  readonly layers: Shelf;
  readonly maxBytes: number;
  readonly graceMs: number;
  /** Called before an environment goes. */
  readonly forget: (key: string) => Promise<void>;
}

export interface Collected {
  readonly removed: readonly string[];
  readonly freedBytes: number;
}

/** Least recently used environments first, then every shared layer that no environment names any more. What is held or in use elsewhere stays. */
export async function collect(collection: Collection): Promise<Collected> {
  const { environments, layers, maxBytes, graceMs, forget } = collection;
  const removed: string[] = [];
  let freedBytes = 0;
  const items = (await environments.list()).toSorted((a, b) => a.usedMs - b.usedMs);
  const shared = await layers.list();
  let total = [...items, ...shared].reduce((sum, item) => sum + item.sizeBytes, 0);
  const newest = Date.now() - graceMs;
  for (const item of items) {
    if (total <= maxBytes) break;
    if (item.usedMs > newest || environments.held(item.key)) continue;
    await forget(item.key);
    if (!(await environments.remove(item.key))) continue;
    removed.push(item.key);
    total -= item.sizeBytes;
    freedBytes += item.sizeBytes;
  }
  const named = await layersNamed(environments);
  for (const item of shared) {
    if (named.has(layers.path(item.key)) || item.usedMs > newest) continue;
    if (total <= maxBytes) break;
    if (!(await layers.remove(item.key))) continue;
    removed.push(item.key);
    total -= item.sizeBytes;
    freedBytes += item.sizeBytes;
  }
  return { removed, freedBytes };
}

/** The shelf folders of layers that some environment on disk stands on. */
async function layersNamed(environments: Shelf): Promise<ReadonlySet<string>> {
  const named = new Set<string>();
  for (const { key } of await environments.list()) {
    const text = await readFile(join(environments.path(key), "environment.json"), "utf8").catch(() => "{}");
    const { layers } = JSON.parse(text) as { layers?: readonly string[] };
    for (const layer of layers ?? []) named.add(join(layer, ".."));
  }
  return named;
}
