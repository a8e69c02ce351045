import { createHash, randomBytes } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SandlotError } from "../../../errors.ts";
import { isErrno } from "../../../sandbox/identity.ts";
import type { Hub } from "./hub.ts";
import { fetchListing, type ListedFile, Listing } from "./listing.ts";

export interface CacheOptions {
  readonly hub: Hub;
  /** Made when it is needed. Processes may share it. */
  readonly folder: string;
  /** Is told of long downloads. */
  readonly report?: (text: string) => void;
}

export interface CachedFile {
  readonly path: string;
  readonly sha256: string;
}

/** Files of data sets by commit: fetched once, resumed where a fetch was cut short, shown under their name when they are whole and right. */
export class HubCache {
  readonly #options: CacheOptions;

  constructor(options: CacheOptions) {
    this.#options = options;
  }

  /** What the hub says now of a branch, a tag or a commit. */
  async resolve(id: string, revision: string): Promise<Listing> {
    const listing = await fetchListing(this.#options.hub, id, revision);
    const file = this.#listingOf(id, listing.revision);
    await mkdir(dirname(file), { recursive: true });
    const draft = `${file}.${randomBytes(6).toString("hex")}`;
    await writeFile(draft, JSON.stringify(listing));
    await rename(draft, file);
    return listing;
  }

  /** The files of a commit, which never change: without the hub when they are known. */
  async listing(id: string, commit: string): Promise<Listing> {
    const text = await readFile(this.#listingOf(id, commit), "utf8").catch(() => undefined);
    const known = text === undefined ? undefined : Listing.safeParse(parseJson(text));
    return known?.success ? known.data : this.resolve(id, commit);
  }

  /** A file of a commit, checked against what the listing says of it. */
  async file(id: string, commit: string, listed: ListedFile): Promise<CachedFile> {
    const path = join(this.folderOf(id, commit), listed.path);
    const known = await digestsOf(path).catch(() => undefined);
    if (known !== undefined && isRight(known, listed)) return { path, sha256: known.sha256 };
    return { path, sha256: await this.#fetch(id, commit, listed, path) };
  }

  folderOf(id: string, commit: string): string {
    return join(this.#options.folder, id.replace("/", "__"), commit, "files");
  }

  #listingOf(id: string, commit: string): string {
    return join(dirname(this.folderOf(id, commit)), "listing.json");
  }

  async #fetch(id: string, commit: string, listed: ListedFile, path: string): Promise<string> {
    const { hub, report } = this.#options;
    const address = `datasets/${id}/resolve/${commit}/${listed.path.split("/").map(encodeURIComponent).join("/")}`;
    const part = `${path}.part`;
    await mkdir(dirname(path), { recursive: true });
    // Once more from nothing: what an earlier process left may not be whole on the disk.
    for (let tries = 1; ; tries++) {
      report?.(`${id}: fetching ${listed.path}, ${listed.size} bytes`);
      await hub.again(`${hub.endpoint}/${address}`, (progress) => append({ hub, address, listed, part, progress }));
      const got = await digestsOf(part).catch(() => undefined);
      if (got !== undefined && isRight(got, listed)) {
        // Gone when another process has just shown the same content.
        await rename(part, path).catch((error: unknown) => {
          if (!isErrno(error, "ENOENT")) throw error;
        });
      } else {
        await rm(part, { force: true });
      }
      const shown = await digestsOf(path).catch(() => undefined);
      if (shown !== undefined && isRight(shown, listed)) return shown.sha256;
      const digest = listed.digest.startsWith("git:") ? `git:${got?.git}` : got?.sha256;
      const message = `${id}@${commit}/${listed.path}: expected content with the digest ${listed.digest}, got ${digest}`;
      if (tries > 1) throw new SandlotError("sandbox", message, { knob: "HF_ENDPOINT" });
    }
  }
}

interface Append {
  readonly hub: Hub;
  readonly address: string;
  readonly listed: ListedFile;
  readonly part: string;
  readonly progress: () => void;
}

/**
 * Adds what is missing. Two processes may do so at once: both write the same bytes to the same places, each from where the file ended when it
 * began, so that there never is a hole.
 */
async function append({ hub, address, listed, part, progress }: Append): Promise<void> {
  const file = await open(part, constants.O_RDWR | constants.O_CREAT);
  try {
    const { size: before } = await file.stat();
    const from = before <= listed.size ? before : 0;
    if (before > listed.size) await file.truncate(0);
    if (from < listed.size) {
      const { start, chunks } = await hub.file(address, from, listed.size);
      let at = start;
      for await (const chunk of chunks) {
        await file.write(chunk, 0, chunk.length, at);
        at += chunk.length;
        progress();
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

interface Digests {
  readonly sha256: string;
  /** The id of the content as a git blob. */
  readonly git: string;
}

async function digestsOf(path: string): Promise<Digests> {
  const { size } = await stat(path);
  const sha256 = createHash("sha256");
  const git = createHash("sha1").update(`blob ${size}\0`);
  for await (const chunk of createReadStream(path)) {
    sha256.update(chunk);
    git.update(chunk);
  }
  return { sha256: sha256.digest("hex"), git: git.digest("hex") };
}

function isRight({ sha256, git }: Digests, { digest }: ListedFile): boolean {
  return digest === sha256 || digest === `git:${git}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
