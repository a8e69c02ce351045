import { createHash } from "node:crypto";
import { createReadStream, realpathSync, type Stats, statSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import type { Rootfs } from "../sandbox/sandbox.ts";

/** Raised when the allow-list of the `host` root file system changes what lies inside. */
const ALLOW_LIST_VERSION = 1;

/** Digests of files, computed again only when a file's inode, size or times changed. */
export class Digests {
  readonly #known = new Map<string, { readonly mark: string; readonly digest: string }>();

  /** Hex sha256 of the file's bytes; of a folder, of its identity and time of change; undefined where nothing is. */
  async of(path: string): Promise<string | undefined> {
    const found = look(path);
    if (!found) return undefined;
    const mark = `${found.dev} ${found.ino} ${found.size} ${found.mtimeMs} ${found.ctimeMs}`;
    const before = this.#known.get(path);
    if (before?.mark === mark) return before.digest;
    const hash = createHash("sha256");
    if (found.isFile()) await pipeline(createReadStream(path), hash);
    else hash.update(mark);
    const digest = hash.digest("hex");
    this.#known.set(path, { mark, digest });
    return digest;
  }

  /**
   * What identifies the content of a root file system, cheaply. For `host`: the release, the package database, the version of
   * the allow-list. For a folder: the folder itself (path, inode, times of its top level). For an image: its digest.
   */
  async ofRootfs(rootfs: Rootfs): Promise<string> {
    if (rootfs.type === "image") return sha256([`image ${rootfs.digest}`]);
    if (rootfs.type === "directory") {
      const path = realpathSync.native(rootfs.path);
      return sha256([`directory ${path}`, await this.of(path)]);
    }
    const parts = await Promise.all(["/etc/os-release", ...PACKAGE_DATABASES].map((path) => this.of(path)));
    return sha256([`host ${ALLOW_LIST_VERSION} ${process.arch}`, ...parts]);
  }
}

/** Asked at every create, and over sooner than a thread would have heard of it. */
function look(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/** Hex sha256 over the parts' JSON. */
export function sha256(parts: unknown): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

const PACKAGE_DATABASES = [
  "/var/lib/dpkg/status",
  "/var/lib/rpm/rpmdb.sqlite",
  "/var/lib/rpm/Packages",
  "/usr/lib/sysimage/rpm/rpmdb.sqlite",
  "/lib/apk/db/installed",
  "/var/lib/pacman/local",
];
