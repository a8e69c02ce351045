import { randomBytes } from "node:crypto";
import { utimesSync } from "node:fs";
import { lstat, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isFault, SandlotError } from "../errors.ts";
import { Flights, type Waiter, type Work } from "./flight.ts";
import { lockFile } from "./lock.ts";

/** Makes an item's content in `folder`, which becomes the item by a rename. `final` is where it will lie. */
export type Make = (place: { folder: string; final: string }, ...work: Parameters<Work<void>>) => Promise<void>;

type Report = Parameters<Work<void>>[1];

export interface Item {
  readonly key: string;
  readonly sizeBytes: number;
  readonly usedMs: number;
}

/**
 * A folder of folders, each made once per key and never changed afterwards:
 *
 *     <root>/<key>/...                 published by rename
 *     <root>/.making/<key>.<random>/   half-made; its owner holds the lock of the key
 *     <root>/.locks/<key>              held while making, pinning or removing; the kernel releases it
 *
 * What lies in `.making` without an owner is removed by the next one who makes that key, and by `sweep`.
 */
export class Shelf {
  readonly #root: string;
  readonly #hostPath: string;
  readonly #flights = new Flights<void>();
  readonly #uses = new Map<string, number>();

  constructor(root: string, hostPath: string) {
    this.#root = root;
    this.#hostPath = hostPath;
  }

  path(key: string): string {
    return join(this.#root, key);
  }

  async has(key: string): Promise<boolean> {
    return exists(this.path(key));
  }

  /** Makes the item unless it is there. Concurrent callers, here and in other processes, share one making. */
  async publish(key: string, make: Make, waiter: Waiter = {}): Promise<void> {
    if (await this.has(key)) return;
    await this.#flights.join(key, (signal, report) => this.#make(key, make, signal, report), waiter);
  }

  /** Keeps an item from `remove`, in this process, until `release`. Counted. */
  hold(key: string): void {
    this.#uses.set(key, (this.#uses.get(key) ?? 0) + 1);
  }

  release(key: string): void {
    const left = (this.#uses.get(key) ?? 0) - 1;
    if (left > 0) this.#uses.set(key, left);
    else this.#uses.delete(key);
  }

  held(key: string): boolean {
    return this.#uses.has(key);
  }

  /** Marks an item as used now; false when it is not there. */
  touch(key: string): boolean {
    const now = new Date();
    try {
      utimesSync(join(this.path(key), SIZE_FILE), now, now);
      return true;
    } catch {
      return false;
    }
  }

  async list(): Promise<readonly Item[]> {
    const keys = await readdir(this.#root).catch(() => []);
    const items = await Promise.all(keys.filter((key) => !key.startsWith(".")).map((key) => this.#describe(key)));
    return items.filter((item) => item !== undefined);
  }

  /** Makes the item unless it is there, and keeps it from `remove` in every process of this host until disposed. */
  async publishAndPin(
    key: string,
    make: Make,
    watch: { signal: AbortSignal; report: Report },
  ): Promise<AsyncDisposable> {
    for (;;) {
      await this.publish(key, make, { signal: watch.signal, onProgress: watch.report });
      const lock = await this.#lock(key, "shared", watch.signal);
      // Between the two another process may have removed it.
      if (lock && this.touch(key)) return lock;
      await lock?.[Symbol.asyncDispose]();
    }
  }

  /** False when the item is in use, here or in another process. */
  async remove(key: string): Promise<boolean> {
    if (this.#uses.has(key)) return false;
    const lock = await this.#lock(key, "exclusive-now");
    if (!lock) return false;
    try {
      if (this.#uses.has(key)) return false;
      const doomed = this.#makingPath(key);
      await mkdir(join(this.#root, ".making"), { recursive: true });
      await rename(this.path(key), doomed).catch(() => {});
      await removeTree(doomed);
      return true;
    } finally {
      await lock[Symbol.asyncDispose]();
    }
  }

  /** Removes what dead owners left half-made. */
  async sweep(): Promise<void> {
    const names = await readdir(join(this.#root, ".making")).catch(() => []);
    for (const key of new Set(names.map((name) => name.slice(0, name.lastIndexOf("."))))) {
      const lock = await this.#lock(key, "exclusive-now");
      if (!lock) continue;
      try {
        await this.#removeHalfMade(key);
      } finally {
        await lock[Symbol.asyncDispose]();
      }
    }
  }

  async #make(key: string, make: Make, ...[signal, report]: Parameters<Work<void>>): Promise<void> {
    let lock = await this.#lock(key, "exclusive-now");
    if (!lock) {
      report({ stage: "waiting", message: "another process prepares this environment" });
      lock = await this.#lock(key, "exclusive", signal);
    }
    try {
      if (!(await this.has(key))) await this.#makeLocked(key, make, signal, report);
    } finally {
      await lock?.[Symbol.asyncDispose]();
    }
  }

  async #makeLocked(key: string, make: Make, ...[signal, report]: Parameters<Work<void>>): Promise<void> {
    await this.#removeHalfMade(key);
    const folder = this.#makingPath(key);
    await mkdir(folder, { recursive: true, mode: 0o755 });
    try {
      await make({ folder, final: this.path(key) }, signal, report);
      signal.throwIfAborted();
      report({ stage: "publish", message: "publishing" });
      await writeFile(join(folder, SIZE_FILE), `${await treeBytes(folder)}\n`);
      await rename(folder, this.path(key));
    } catch (cause) {
      await removeTree(folder);
      throw outOfDisk(cause) ?? cause;
    }
  }

  #makingPath(key: string): string {
    return join(this.#root, ".making", `${key}.${randomBytes(6).toString("hex")}`);
  }

  async #removeHalfMade(key: string): Promise<void> {
    const names = await readdir(join(this.#root, ".making")).catch(() => []);
    for (const name of names.filter((name) => name.startsWith(`${key}.`))) {
      await removeTree(join(this.#root, ".making", name));
    }
  }

  async #lock(key: string, mode: "exclusive" | "exclusive-now" | "shared", signal?: AbortSignal) {
    await mkdir(join(this.#root, ".locks"), { recursive: true });
    return lockFile({
      path: join(this.#root, ".locks", key),
      mode: mode === "shared" ? "shared" : "exclusive",
      wait: mode !== "exclusive-now",
      hostPath: this.#hostPath,
      ...(signal ? { signal } : {}),
    });
  }

  async #describe(key: string): Promise<Item | undefined> {
    const file = join(this.path(key), SIZE_FILE);
    const [text, stat] = await Promise.all([readFile(file, "utf8"), lstat(file)]).catch(() => ["", undefined] as const);
    return stat ? { key, sizeBytes: Number(text) || 0, usedMs: stat.mtimeMs } : undefined;
  }
}

const SIZE_FILE = "size";

/** Removes a tree that may hold anything a sandbox left, without following links. Folders without permissions are opened first. */
export async function removeTree(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3 });
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

async function treeBytes(path: string): Promise<number> {
  const stat = await lstat(path);
  let bytes = stat.blocks * 512;
  if (!stat.isDirectory()) return bytes;
  for (const name of await readdir(path)) bytes += await treeBytes(join(path, name));
  return bytes;
}

function outOfDisk(cause: unknown): SandlotError | undefined {
  if (isFault(cause, "task") || !(cause instanceof Error) || !("code" in cause) || cause.code !== "ENOSPC") return;
  return new SandlotError("sandbox", "no space left on the device that holds the environments", { cause });
}
