import { formatOf } from "../formats.ts";
import type { Source, SourceRow } from "../source.ts";
import type { CachedFile, HubCache } from "./cache.ts";
import { checkLocked, type DatasetLock, type LockedDataset, lockedRevision } from "./dataset-lock.ts";
import { type DatasetReference, showReference } from "./reference.ts";
import { splitOf } from "./splits.ts";

export interface HubAccess {
  readonly cache: HubCache;
  readonly lock: DatasetLock;
}

/** A split of a data set on the hub, at a commit, fetched and checked against the lock. Needs no hub when all is in the cache. */
export async function datasetSource(reference: DatasetReference, { cache, lock }: HubAccess): Promise<Source> {
  const { id } = reference;
  const revision = lockedRevision(lock, id, reference.revision);
  const split = splitOf(await cache.listing(id, revision), reference);
  const files: (CachedFile & { readonly name: string })[] = [];
  for (const listed of split.files) {
    const file = await cache.file(id, revision, listed);
    checkLocked(lock, id, listed.path, file.sha256);
    files.push({ ...file, name: `${id}@${revision}/${listed.path}` });
  }
  return {
    name: showReference({ ...reference, revision }),
    origin: { folder: cache.folderOf(id, revision), dataset: id, revision, split: split.name },
    rows: () => rowsOf(files),
  };
}

async function* rowsOf(files: readonly (CachedFile & { readonly name: string })[]): AsyncGenerator<SourceRow> {
  for (const { path, name } of files) yield* formatOf(path)?.(path, name) ?? [];
}

/**
 * Fetches files of the commit that a branch, a tag or a commit id stands for now, all of them or those of the references, and resolves to the entry that
 * locks them. What the same commit has locked already stays.
 */
export async function lockedNow(
  id: string,
  { branch, references }: { readonly branch: string; readonly references: readonly DatasetReference[] },
  { cache, lock }: HubAccess,
): Promise<LockedDataset> {
  const listing = await cache.resolve(id, branch);
  const wanted = references.length === 0 ? listing.files : references.flatMap((one) => splitOf(listing, one).files);
  const before = lock.datasets.get(id);
  const files = new Map(before?.revision === listing.revision ? Object.entries(before.files) : []);
  for (const listed of wanted) files.set(listed.path, (await cache.file(id, listing.revision, listed)).sha256);
  const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
  const retrieved = new Date().toISOString().slice(0, 10);
  return { revision: listing.revision, retrieved, files: Object.fromEntries(sorted) };
}
