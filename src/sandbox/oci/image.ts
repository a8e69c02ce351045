import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Launcher } from "./launcher.ts";
import { onImages, quote } from "./mounts.ts";
import { MAX_VIEWS, ownFolders } from "./places.ts";

/**
 * Empty ext4 file systems of a given size, made once per size and copied (sparsely: about 2 MiB) for each sandbox: the limit on disk and files is the kernel's.
 */
export class ImageTemplates {
  readonly #folder: string;
  readonly #launcher: Launcher;
  readonly #made = new Map<number, Promise<string>>();

  constructor(folder: string, launcher: Launcher) {
    this.#folder = folder;
    this.#launcher = launcher;
  }

  /** The path of the template. */
  of(sizeMiB: number): Promise<string> {
    const known = this.#made.get(sizeMiB);
    if (known !== undefined) return known;
    const made = this.#make(sizeMiB);
    this.#made.set(sizeMiB, made);
    made.catch(() => this.#made.delete(sizeMiB));
    return made;
  }

  /** Mounts one for a moment. Undefined when that works, else why not. */
  async probe(): Promise<string | undefined> {
    const place = join(this.#folder, `probe-${randomBytes(4).toString("hex")}`);
    try {
      const template = await this.of(16);
      await mkdir(join(place, "at"), { recursive: true });
      const image = { image: join(place, "image"), target: join(place, "at"), template };
      const { code, stdout } = await this.#launcher.run({
        argv: onImages([image], ["mkdir", join(place, "at/upper/works")]),
        open: [],
        timeoutMs: 20_000,
      });
      return code === 0 ? undefined : stdout.trim() || "an image could not be mounted and written";
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      await waitUntilDetached(join(place, "image"), 5_000);
      await rm(place, { recursive: true, force: true });
    }
  }

  async #make(sizeMiB: number): Promise<string> {
    const template = join(this.#folder, `empty-${sizeMiB}.ext4`);
    if ((await stat(template).catch(() => undefined)) !== undefined) return template;
    const half = `${template}.${randomBytes(4).toString("hex")}`;
    const tree = `${half}.tree`;
    try {
      for (const name of ownFolders(MAX_VIEWS)) await mkdir(join(tree, name), { recursive: true });
      const { code, stdout } = await this.#launcher.run({
        argv: ["sh", "-c", `exec 2>&1; mkfs.ext4 ${MKFS} -d ${quote(tree)} ${quote(half)} ${sizeMiB}M`],
        open: [],
        timeoutMs: 60_000,
      });
      if (code !== 0) throw new Error(`mkfs.ext4 failed: ${stdout.trim()}`);
      await rename(half, template);
    } finally {
      await rm(half, { force: true });
      await rm(tree, { recursive: true, force: true });
    }
    return template;
  }
}

const MKFS = "-q -F -b 4096 -i 16384 -m 0 -O ^has_journal -E lazy_itable_init=1,nodiscard,root_owner=0:0";

/** Resolves to false when a loop device still holds the image after that time. */
export async function waitUntilDetached(image: string, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while ((await devicesOf(image)).length > 0) {
    if (performance.now() > end) return false;
    await sleep(2);
  }
  return true;
}

async function devicesOf(image: string): Promise<readonly string[]> {
  const names = await readdir("/sys/block").catch(() => []);
  const loops = names.filter((name) => name.startsWith("loop"));
  const files = await Promise.all(
    loops.map((name) => readFile(`/sys/block/${name}/loop/backing_file`, "utf8").catch(() => "")),
  );
  return loops.filter((_, at) => files[at]?.trim() === image);
}
