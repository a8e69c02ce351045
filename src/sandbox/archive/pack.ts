import { SandlotError } from "../../errors.ts";
import { readFrom } from "./host-tar.ts";
import { filterTar, OPAQUE, REDIRECT, TAR_END } from "./tar.ts";

/** A layer (a host folder in the form of overlayfs) for whoever has no overlayfs of ours: first remove, then unpack. */
export interface PackedLayer {
  /** What the layer takes away from those below it: paths without a leading slash; of a folder all that it holds. */
  readonly removed: readonly string[];
  /** A tar archive of what the layer itself holds, owners by number. Every call begins one. */
  tar(): AsyncIterable<Uint8Array>;
}

/** Looks through a layer. Fault `unsupported` for what only overlayfs can express. */
export async function packLayer(folder: string, signal: AbortSignal): Promise<PackedLayer> {
  const removed: string[] = [];
  const marks = filterTar(readFrom(folder, ["sh", "-c", MARKS], signal), (entry) => {
    if (entry.attributes.has(REDIRECT)) {
      const words = `the layer ${folder} has a renamed folder that only overlayfs can follow: ${entry.path}`;
      throw new SandlotError("unsupported", words);
    }
    if (entry.isWhiteout || entry.attributes.get(OPAQUE) === "y") removed.push(entry.path);
    return false;
  });
  for await (const _ of marks);
  return {
    removed,
    tar: async function* () {
      const all = readFrom(folder, ["sh", "-c", ALL], signal);
      yield* filterTar(all, (entry) => !entry.isWhiteout && entry.path !== "");
      yield TAR_END;
    },
  };
}

const TAR = "exec tar -cf - --format=posix --pax-option=delete=atime,delete=ctime --numeric-owner --xattrs";
/** Folders and devices only: these can be marks. */
const MARKS = `find . \\( -type d -o -type c \\) -print0 | ${TAR} '--xattrs-include=trusted.overlay.*' --no-recursion --null -T -`;
const ALL = `${TAR} --xattrs-include=security.capability .`;
