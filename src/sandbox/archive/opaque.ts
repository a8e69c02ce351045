import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { writeTo } from "./host-tar.ts";
import { folderOf, OPAQUE, TAR_END } from "./tar.ts";

/** Marks a folder of a layer so that overlayfs shows nothing of what lower layers have there. For it takes root. */
export async function hideBelow(layer: string, folder: string, signal: AbortSignal): Promise<void> {
  const inner = folder.replace(/^\/+/, "");
  const entry = folderOf(inner, await lstat(join(layer, inner)), { [`SCHILY.xattr.${OPAQUE}`]: "y" });
  const members = async function* () {
    yield entry;
    yield TAR_END;
  };
  await writeTo(layer, [...MARK], members(), signal);
}

/** What changes attributes of what is there, and nothing else. */
const MARK = [
  "tar",
  "-xf",
  "-",
  "--numeric-owner",
  "--same-owner",
  "-p",
  "--xattrs",
  `--xattrs-include=${OPAQUE}`,
] as const;
