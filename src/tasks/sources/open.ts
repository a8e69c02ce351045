import { existsSync, statSync } from "node:fs";
import { fileSource } from "./file.ts";
import { harborSource } from "./harbor.ts";
import { datasetSource, type HubAccess } from "./hub/dataset.ts";
import { type DatasetReference, parseReference } from "./hub/reference.ts";
import type { Source } from "./source.ts";

/** Where rows are: in a file of this host, or in a data set on the hub. */
export type Place =
  | { readonly type: "file"; readonly path: string }
  | { readonly type: "hub"; readonly reference: DatasetReference };

/** A file that is there goes before a data set that is called so. */
export function placeOf(text: string): Place {
  const reference = existsSync(text) ? undefined : parseReference(text);
  return reference === undefined ? { type: "file", path: text } : { type: "hub", reference };
}

/** `hub` is asked for only where rows are there. */
export async function openSource(text: string, hub: () => Promise<HubAccess>): Promise<Source> {
  const place = placeOf(text);
  if (place.type === "file" && isFolder(place.path)) return harborSource(place.path);
  return place.type === "file" ? fileSource(place.path) : datasetSource(place.reference, await hub());
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
