import { randomBytes } from "node:crypto";
import { readFileSync, utimesSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SandlotError } from "../../../errors.ts";
import { Shelf } from "../../../shelf/shelf.ts";
import type { Image, KeptImages } from "../../sandbox.ts";
import { LAYER } from "./unpack.ts";

/** An image that is unpacked: `records/<hex>.json`. */
export interface KeptImage extends Image {
  readonly version: 1;
  /** Keys of its layers on the shelf, lowest first. */
  readonly layers: readonly string[];
}

/**
 * Images on the backend's volume:
 *
 *     layers/<key>/t         a layer, by the digests of it and of all below it; shared by images, never changed
 *     records/<hex>.json     an image by its digest; written when all its layers lie there
 *     names/<hash>.json      what a reference was found to be
 */
export class ImageStore implements KeptImages {
  readonly layers: Shelf;
  readonly #root: string;
  readonly #known = new Map<string, KeptImage>();

  constructor(root: string, hostPath: string) {
    this.#root = root;
    this.layers = new Shelf(join(root, "layers"), hostPath);
  }

  /** The folders of an image's layers, lowest first. Fault `sandbox`: it is not here (any more). */
  foldersOf(digest: string, ref: string): readonly string[] {
    const image = this.#known.get(digest) ?? this.#read(digest);
    if (image !== undefined) return image.layers.map((key) => join(this.layers.path(key), LAYER));
    throw new SandlotError(
      "sandbox",
      `the image ${ref} (${digest}) is not unpacked here: was the state folder cleaned?`,
    );
  }

  /** Marks an image as used now, all its layers too; undefined when one of them is gone. */
  touch(digest: string): KeptImage | undefined {
    const image = this.#known.get(digest) ?? this.#read(digest);
    if (image === undefined || !image.layers.every((key) => this.layers.touch(key))) return undefined;
    const now = new Date();
    try {
      utimesSync(this.#record(digest), now, now);
      return image;
    } catch {
      this.#known.delete(digest);
      return undefined;
    }
  }

  async keep(image: KeptImage): Promise<void> {
    await this.#write(this.#record(image.digest), image);
    this.#known.set(image.digest, image);
  }

  /** By `keepName`; undefined when it was never found. */
  async nameOf(key: string): Promise<unknown> {
    const text = await readFile(join(this.#root, "names", `${key}.json`), "utf8").catch(() => "null");
    return JSON.parse(text);
  }

  async keepName(key: string, value: unknown): Promise<void> {
    await this.#write(join(this.#root, "names", `${key}.json`), value);
  }

  /** A new empty folder, for what is thrown away soon. */
  async scratch(): Promise<string> {
    const folder = join(this.#root, "scratch", randomBytes(8).toString("hex"));
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return folder;
  }

  /** Removes what a killed process left half-made. For the start of a server. */
  async sweep(): Promise<void> {
    await rm(join(this.#root, "scratch"), { recursive: true, force: true });
    await this.layers.sweep();
  }

  async sizeBytes(): Promise<number> {
    return (await this.layers.list()).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  /** Removes images, least recently used first, and the layers that no other has, until `bytes` are free. */
  async collect(options: Parameters<KeptImages["collect"]>[0]): Promise<number> {
    let freed = 0;
    for (const { digest, usedMs } of (await this.#list()).toSorted((a, b) => a.usedMs - b.usedMs)) {
      if (freed >= options.bytes) break;
      if (options.keep.has(digest) || usedMs > options.usedBeforeMs) continue;
      this.#known.delete(digest);
      await rm(this.#record(digest), { force: true });
      freed += await this.#removeOrphans(options.usedBeforeMs);
    }
    return freed;
  }

  async #removeOrphans(usedBeforeMs: number): Promise<number> {
    const named = new Set((await this.#list()).flatMap(({ layers }) => layers));
    let freed = 0;
    for (const { key, sizeBytes, usedMs } of await this.layers.list()) {
      if (named.has(key) || usedMs > usedBeforeMs) continue;
      if (await this.layers.remove(key)) freed += sizeBytes;
    }
    return freed;
  }

  async #list(): Promise<readonly (KeptImage & { readonly usedMs: number })[]> {
    const names = await readdir(join(this.#root, "records")).catch(() => []);
    const all = names
      .filter((name) => name.endsWith(".json"))
      .map(async (name) => {
        const image = this.#read(`sha256:${name.slice(0, -".json".length)}`);
        const found = await stat(join(this.#root, "records", name)).catch(() => undefined);
        return image && found ? { ...image, usedMs: found.mtimeMs } : undefined;
      });
    return (await Promise.all(all)).filter((image) => image !== undefined);
  }

  #read(digest: string): KeptImage | undefined {
    try {
      const image: KeptImage = JSON.parse(readFileSync(this.#record(digest), "utf8"));
      if (image.version !== 1) return undefined;
      this.#known.set(digest, image);
      return image;
    } catch {
      return undefined;
    }
  }

  #record(digest: string): string {
    return join(this.#root, "records", `${digest.slice("sha256:".length)}.json`);
  }

  async #write(path: string, value: unknown): Promise<void> {
    await mkdir(join(path, ".."), { recursive: true });
    const half = `${path}.${randomBytes(4).toString("hex")}`;
    await writeFile(half, JSON.stringify(value));
    await rename(half, path);
  }
}
