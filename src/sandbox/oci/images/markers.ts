import type { Stats } from "node:fs";
import { lstat, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Readable } from "node:stream";
import { runOnHost, tail } from "../../../host-command.ts";
import { folderOf, OPAQUE, TAR_END, whiteoutOf } from "../../archive/tar.ts";
import { broken } from "./stored.ts";

/** What the layers of images mean by names, overlayfs means by devices and attributes. */
interface Marked {
  /** Relative to the layer. */
  readonly path: string;
  /** A folder that hides what lies below it; undefined: nothing is here, whatever lies below. */
  readonly opaque?: Stats;
}

/**
 * Turns `.wh.NAME` (nothing is called NAME) and `.wh..wh..opq` (nothing of the layers below shows in this folder) of an unpacked layer into what overlayfs takes for that. Nobody writes to the layer, no
 * link of it is followed.
 */
export async function convertMarkers(
  layer: string,
  { ref, hostPath }: { ref: string; hostPath: string },
): Promise<void> {
  const env = { PATH: hostPath, LC_ALL: "C" };
  const found = await runOnHost({
    argv: ["find", layer, "-mindepth", "1", "-name", ".wh.*", "-printf", "%P\\0"],
    env,
    timeoutMs: MINUTES,
  });
  const paths = found.stdout.split("\0").filter((path) => path !== "");
  if (found.exitCode !== 0 || paths.some((path) => path.includes("\uFFFD")))
    throw broken(ref, `a layer's names cannot be read: ${tail(found.stderr)}`);
  const marked = new Map<string, Marked>();
  for (const path of paths) {
    const one = await markOf(layer, path, ref);
    // Both on one name: the folder is new, and hides what was there.
    if (one !== undefined && (one.opaque || !marked.has(one.path))) marked.set(one.path, one);
  }
  for (const path of paths) await rm(join(layer, path), { recursive: true, force: true });
  if (marked.size === 0) return;
  const archive = Buffer.concat([...[...marked.values()].map(entryOf), TAR_END]);
  const made = await runOnHost({
    argv: ["tar", "--extract", "--xattrs", `--xattrs-include=${OPAQUE}`, "-p", "--numeric-owner", "-C", layer],
    env,
    stdin: Readable.from([archive]),
    timeoutMs: MINUTES,
  });
  if (made.exitCode !== 0) throw new Error(`what a layer deletes could not be marked: ${tail(made.stderr)}`);
}

const MINUTES = 600_000;
const OPAQUE_MARK = ".wh..wh..opq";

async function markOf(layer: string, path: string, ref: string): Promise<Marked | undefined> {
  const folder = dirname(path);
  const name = basename(path);
  if (name === OPAQUE_MARK)
    return folder === "." ? undefined : { path: folder, opaque: await lstat(join(layer, folder)) };
  if (name.startsWith(".wh..wh.")) return undefined; // aufs's own
  const hidden = name.slice(".wh.".length);
  if (hidden === "" || hidden === "." || hidden === "..") throw broken(ref, `a layer deletes ${JSON.stringify(path)}`);
  const target = join(folder, hidden);
  const there = await lstat(join(layer, target)).catch(() => undefined);
  if (there === undefined) return { path: target };
  return there.isDirectory() ? { path: target, opaque: there } : undefined;
}

/** The entry of an archive that makes it: a device 0/0, or the folder again with its attribute. */
function entryOf({ path, opaque }: Marked): Uint8Array {
  return opaque ? folderOf(path, opaque, { [`SCHILY.xattr.${OPAQUE}`]: "y" }) : whiteoutOf(path);
}
