import { chmod, mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { SandlotError } from "../../errors.ts";
import { writeTo } from "./host-tar.ts";
import { filterTar, OPAQUE, plainPath, TAR_END, whiteoutOf } from "./tar.ts";

/** What a sandbox changed, as whoever keeps its files tells. */
export interface Changes {
  /** A tar archive with at least what changed; written by the sandbox, so hostile. */
  readonly tar: AsyncIterable<Uint8Array>;
  /** Paths of what is new or different, with the folders that hold it. */
  readonly changed: Iterable<string>;
  /** Paths of what is gone. A folder that is in the archive all the same is a new one in the place of the old. */
  readonly removed: Iterable<string>;
}

/**
 * Makes `target`, a host folder in the form of overlayfs that does not exist, by rename: a layer that holds the changes. What is gone is a device 0:0 (for which it takes root), a folder that hides
 * an older one is marked as overlayfs does. Devices of the sandbox are left out. Nothing outside the folder is touched, whatever the archive says.
 */
export function unpackLayer(target: string, changes: Changes, signal: AbortSignal): Promise<void> {
  return extract(target, membersOf(changes), signal);
}

/** The same from an archive of an overlay's own upper folder, in which what is gone and what hides is marked already. */
export function unpackUpper(target: string, tar: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
  return extract(target, plainMembers(tar), signal);
}

async function* plainMembers(tar: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* filterTar(tar, ({ path, type, isWhiteout }) => path !== "" && (isWhiteout || (type !== "3" && type !== "4")));
  yield TAR_END;
}

async function extract(target: string, members: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
  const half = `${target}.unpacking`;
  await mkdir(dirname(target), { recursive: true });
  await mkdir(half, { mode: 0o700 });
  try {
    await writeTo(half, EXTRACT, members, signal);
    await chmod(half, 0o755);
    await rename(half, target);
  } catch (error) {
    await rm(half, { recursive: true, force: true });
    throw error;
  }
}

/** tar itself keeps names below the folder: a leading slash goes, `..` is refused, links that lead out are made last. */
const EXTRACT = [
  "tar",
  ...["-xf", "-", "--numeric-owner", "--same-owner", "--same-permissions", "--delay-directory-restore"],
  ...["--xattrs", "--xattrs-include=security.capability", `--xattrs-include=${OPAQUE}`],
] as const;

async function* membersOf({ tar, changed, removed }: Changes): AsyncGenerator<Uint8Array> {
  const wanted = new Set([...changed].map(plainPath));
  const gone = new Set([...removed].map(plainPath));
  if (gone.size > 0 && process.getuid?.() !== 0) {
    throw new SandlotError("unsupported", "a layer in which files of lower layers are gone can be kept by root only");
  }
  yield* filterTar(tar, ({ path, type }) => {
    const again = gone.delete(path);
    if (!(wanted.has(path) || again) || type === "3" || type === "4") return false;
    return again && type === "5" ? { [`SCHILY.xattr.${OPAQUE}`]: "y" } : true;
  });
  for (const path of gone) yield whiteoutOf(path);
  yield TAR_END;
}
