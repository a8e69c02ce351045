import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { KeptImages } from "../sandbox/sandbox.ts";
import type { Shelf } from "../shelf/shelf.ts";
import type { Environment } from "./environment.ts";

export interface Collection {
  readonly environments: Shelf;
  readonly layers: Shelf;
  /** Where images take room on the same volume, and those that are being built upon. */
  readonly images: readonly KeptImages[];
  readonly imagesInUse: Iterable<string>;
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
  const { environments, layers, images, imagesInUse, maxBytes, graceMs, forget } = collection;
  const removed: string[] = [];
  let freedBytes = 0;
  const items = (await environments.list()).toSorted((a, b) => a.usedMs - b.usedMs);
  const shared = await layers.list();
  let total = 0;
  for (const kept of images) total += await kept.sizeBytes();
  total = [...items, ...shared].reduce((sum, item) => sum + item.sizeBytes, total);
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
  const named = await whatIsNamed(environments);
  for (const item of shared) {
    if (named.layers.has(layers.path(item.key)) || item.usedMs > newest) continue;
    if (total <= maxBytes) break;
    if (!(await layers.remove(item.key))) continue;
    removed.push(item.key);
    total -= item.sizeBytes;
    freedBytes += item.sizeBytes;
  }
  const keep = new Set([...named.images, ...imagesInUse]);
  for (const kept of images) {
    if (total <= maxBytes) break;
    const freed = await kept.collect({ keep, usedBeforeMs: newest, bytes: total - maxBytes });
    total -= freed;
    freedBytes += freed;
  }
  return { removed, freedBytes };
}

/** The shelf folders of layers, and the digests of images, that some environment on disk stands on. */
async function whatIsNamed(
  environments: Shelf,
): Promise<{ readonly layers: ReadonlySet<string>; readonly images: ReadonlySet<string> }> {
  const named = { layers: new Set<string>(), images: new Set<string>() };
  for (const { key } of await environments.list()) {
    const text = await readFile(join(environments.path(key), "environment.json"), "utf8").catch(() => "{}");
    const { layers, rootfs } = JSON.parse(text) as Partial<Environment>; // written by prepare.ts
    for (const layer of layers ?? []) named.layers.add(join(layer, ".."));
    if (rootfs?.type === "image") named.images.add(rootfs.digest);
  }
  return named;
}
