import { createHash } from "node:crypto";
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { SandlotError } from "../../../errors.ts";
import { Flights, type Progress } from "../../../shelf/flight.ts";
import type { Image, Images, ImageWatch } from "../../sandbox.ts";
import { openArchive } from "./archive.ts";
import { type Fetched, fetchImage, imageTools, noTools } from "./fetch.ts";
import { openLayout } from "./layout.ts";
import { fileNames, parseReference, type Reference } from "./reference.ts";
import type { ImageStore, KeptImage } from "./store.ts";
import { broken, readConfig, type StoredImage } from "./stored.ts";
import { type Unpacker, unpackLayer } from "./unpack.ts";

export interface OciImagesOptions {
  readonly store: ImageStore;
  readonly unpacker: Unpacker;
  /** Folders of images: archives and layouts, by `fileNames`. */
  readonly folders: readonly string[];
  /** The environment of the programs that fetch. */
  readonly env: Readonly<Record<string, string>>;
}

type Report = (progress: Progress) => void;

/** Images as root file systems, unpacked into layers that they share. */
export class OciImages implements Images {
  readonly kept: ImageStore;
  readonly #options: OciImagesOptions;
  readonly #flights = new Flights<KeptImage>();
  readonly #found = new Map<string, Found>();

  constructor(options: OciImagesOptions) {
    this.#options = options;
    this.kept = options.store;
  }

  async resolve(ref: string, { signal, report }: ImageWatch): Promise<Image> {
    const place = await this.#locate(parseReference(ref));
    const mark = await markOf(place, ref);
    const kept = await this.#known(ref, mark);
    if (kept !== undefined) return imageOf(kept);
    const onProgress = ({ message, fraction }: Progress): void =>
      report({ message, ...(fraction === undefined ? {} : { fraction }) });
    const made = await this.#flights.join(
      `${ref} ${mark}`,
      (stop, tell) => this.#bring({ ref, mark, place }, stop, tell),
      { signal, onProgress },
    );
    return imageOf(made);
  }

  async lack(ref: string): Promise<string | undefined> {
    try {
      const place = await this.#locate(parseReference(ref));
      const mark = await markOf(place, ref);
      if (place.type !== "name" || (await this.#known(ref, mark)) !== undefined) return undefined;
      return (await imageTools(this.#options.env)).size > 0 ? undefined : noTools(place.name).message;
    } catch (error) {
      if (error instanceof SandlotError) return error.message;
      throw error;
    }
  }

  /** A name stands for a file where one of the folders has it. */
  async #locate(reference: Reference): Promise<Reference> {
    if (reference.type !== "name") return reference;
    for (const folder of this.#options.folders) {
      for (const name of fileNames(reference.name)) {
        const path = join(folder, name);
        if (await isThere(`${path}.tar`)) return { type: "archive", path: `${path}.tar`, name: "" };
        if (await isThere(join(path, "index.json"))) return { type: "layout", path, tag: "" };
      }
    }
    return reference;
  }

  async #known(ref: string, mark: string): Promise<KeptImage | undefined> {
    const { store } = this.#options;
    const before = this.#found.get(ref) ?? FoundRecord.safeParse(await store.nameOf(keyOf(ref))).data;
    if (before?.mark !== mark) return undefined;
    const kept = store.touch(before.digest);
    if (kept === undefined) this.#found.delete(ref);
    else this.#found.set(ref, before);
    return kept;
  }

  async #bring(wanted: Wanted, signal: AbortSignal, report: Report): Promise<KeptImage> {
    const { place, ref, mark } = wanted;
    const { store, env } = this.#options;
    const scratch = await store.scratch();
    try {
      const tell = (message: string): void => report({ stage: "image", message });
      const from: Fetched =
        place.type === "name" ? await fetchImage({ name: place.name, scratch, env, signal, report: tell }) : place;
      const kept = await this.#unpack(await this.#open(from, ref), ref, signal, report);
      await store.keepName(keyOf(ref), { mark, digest: kept.digest });
      this.#found.set(ref, { mark, digest: kept.digest });
      return kept;
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }

  #open(from: Fetched, ref: string): Promise<StoredImage> {
    if (from.type === "layout") return openLayout({ ...from, ref });
    return openArchive({ ...from, ref, hostPath: this.#options.unpacker.hostPath });
  }

  /** Layer by layer, each held until the image is written down. */
  async #unpack(stored: StoredImage, ref: string, signal: AbortSignal, report: Report): Promise<KeptImage> {
    const { store, unpacker } = this.#options;
    const { diffIds, ...image } = readConfig(stored.config, ref);
    if (diffIds.length !== stored.layers.length) {
      throw broken(ref, `its configuration has ${diffIds.length} layers, its manifest ${stored.layers.length}`);
    }
    const pins: AsyncDisposable[] = [];
    const keys: string[] = [];
    try {
      for (const [at, diffId] of diffIds.entries()) {
        const open = stored.layers[at];
        if (open === undefined || diffId === EMPTY) continue;
        const key = createHash("sha256")
          .update(`${keys.at(-1) ?? ""} ${diffId}`)
          .digest("hex")
          .slice(0, KEY_DIGITS);
        const tell: Report = (progress) => report({ ...progress, fraction: at / diffIds.length });
        tell({ stage: "image", message: `unpacking layer ${at + 1} of ${diffIds.length} of ${ref}` });
        const make = ({ folder }: { folder: string }, stop: AbortSignal): Promise<void> =>
          unpackLayer(unpacker, { ref, diffId, open, folder, signal: stop });
        pins.push(await store.layers.publishAndPin(key, make, { signal, report: tell }));
        keys.push(key);
      }
      const kept: KeptImage = { version: 1, ...image, layers: keys };
      await store.keep(kept);
      return kept;
    } finally {
      await Promise.all(pins.map((pin) => pin[Symbol.asyncDispose]()));
    }
  }
}

interface Wanted {
  readonly ref: string;
  readonly mark: string;
  readonly place: Reference;
}

const FoundRecord = z.object({ mark: z.string(), digest: z.string() });
type Found = z.infer<typeof FoundRecord>;

/** The archive of a layer that changes nothing. */
const EMPTY = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
/** Short, so that the layers of an image fit into the options of one mount. */
const KEY_DIGITS = 24;

const keyOf = (ref: string): string => createHash("sha256").update(ref).digest("hex");

const imageOf = ({ digest, env, workdir, user }: KeptImage): Image => ({ digest, env, workdir, user });

/** Changes when what lies at the place may have changed. What was fetched stays what it was until it is removed. */
async function markOf(place: Reference, ref: string): Promise<string> {
  if (place.type === "name") return "fetched";
  const path = place.type === "archive" ? place.path : join(place.path, "index.json");
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) throw broken(ref, `expected it at ${place.path}, found nothing`);
  return `${path} ${found.dev} ${found.ino} ${found.size} ${found.mtimeMs}`;
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
