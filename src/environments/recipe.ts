import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SandlotError } from "../errors.ts";
import type { Image, Images, ImageWatch, Rootfs } from "../sandbox/sandbox.ts";
import type { Waiter } from "../shelf/flight.ts";
import type { Digests } from "./digests.ts";
import type { Git } from "./git.ts";
import { findRepository, identifyRepository, isHere, openSource, type Repository } from "./repository.ts";
import type { Wanted } from "./wanted.ts";

/** A recipe that is followed: its image, where it has one, by the digest, and the base commit of a repository on this host by its id. */
export interface Recipe extends Omit<Wanted, "rootfs"> {
  readonly rootfs: Rootfs;
  /** What the image says of those who run in it. */
  readonly image?: Image;
}

/** Makes the image of a recipe available. Fault `unsupported` where the backend has no images; faults of `Images.resolve`. */
export async function withImage(wanted: Wanted, images: Images | undefined, waiter: Waiter): Promise<Recipe> {
  const { rootfs, workdir } = wanted;
  if (rootfs.type !== "image") {
    if (workdir === "") throw new SandlotError("task", "workdir: expected an absolute path", WORKDIR);
    return { ...wanted, rootfs };
  }
  if (images === undefined) {
    throw new SandlotError("unsupported", `the environment needs the capability images for ${rootfs.ref}`, {
      field: "environment.rootfs",
      knob: "backend",
    });
  }
  const signal = waiter.signal ?? new AbortController().signal;
  const report: ImageWatch["report"] = (progress) => waiter.onProgress?.({ stage: "image", ...progress });
  const image = await images.resolve(rootfs.ref, { signal, report }).catch((error: unknown) => {
    throw rootfs.context === "" ? error : unbuilt(rootfs, error);
  });
  const inside = workdir || image.workdir || (wanted.repository.type === "none" ? "/" : "");
  if (!/^\/[^/]/.test(inside) && wanted.repository.type !== "none")
    throw new SandlotError("task", `the image ${rootfs.ref} has no workdir of its own`, WORKDIR);
  if (!inside.startsWith("/"))
    throw new SandlotError(
      "task",
      `workdir: expected an absolute path, the image ${rootfs.ref} has ${inside}`,
      WORKDIR,
    );
  return { ...wanted, workdir: inside, rootfs: { type: "image", ref: rootfs.ref, digest: image.digest }, image };
}

const WORKDIR = { field: "environment.workdir" } as const;

/** Nothing here builds images: the family's own tool does. */
function unbuilt({ ref, context }: { readonly ref: string; readonly context: string }, cause: unknown): unknown {
  if (!(cause instanceof SandlotError) || cause.fault === "sandbox") return cause;
  const how = `build it, for example by docker build -t ${ref} ${context}`;
  return new SandlotError(cause.fault, `${cause.message}. It is made from ${context}: ${how}`, {
    ...cause.facts,
    cause,
  });
}

export interface BaseCommitsOptions {
  readonly git: Git;
  readonly digests: Digests;
  readonly repositories: readonly string[];
}

/** Finds the commits that recipes name by a branch or a tag. A branch of a clone may move and is asked each time; a stream's cannot. */
export class BaseCommits {
  readonly #options: BaseCommitsOptions;
  readonly #known = new Map<string, string>();

  constructor(options: BaseCommitsOptions) {
    this.#options = options;
  }

  /** The same recipe with the base commit as an id. Fault `task`: the repository lacks it. */
  async fix(recipe: Recipe, signal?: AbortSignal): Promise<Recipe> {
    const { repository, baseCommit } = recipe;
    // What an image has is looked up in it, when the environment is made: its digest decides.
    if (/^[0-9a-f]{40}$/.test(baseCommit) || !isHere(repository)) return recipe;
    return { ...recipe, baseCommit: await this.#find(repository, baseCommit, signal) };
  }

  async #find(repository: Repository, revision: string, signal?: AbortSignal): Promise<string> {
    const { git, digests, repositories } = this.#options;
    const source = await findRepository(repository, repositories);
    if (source.type === "clone") return commitOf(git, source.path, revision, signal);
    const key = `${await identifyRepository(repository, digests)} ${revision}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const scratch = await mkdtemp(join(tmpdir(), "sandlot-base-"));
    try {
      const clone = await openSource(source, join(scratch, "git"), git, signal ?? new AbortController().signal);
      const found = await commitOf(git, clone, revision, signal);
      this.#known.set(key, found);
      return found;
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }
}

/** In a clone with a work tree, the branches of where it came from are under `refs/remotes/origin`. */
async function commitOf(git: Git, clone: string, revision: string, signal?: AbortSignal): Promise<string> {
  for (const name of [revision, revision.replace(/^refs\/heads\//, "refs/remotes/origin/")]) {
    const asked = await git.try(["-C", clone, "rev-parse", "--verify", "--quiet", `${name}^{commit}`], {
      ...(signal && { signal }),
    });
    if (asked.exitCode === 0) return asked.stdout.trim();
  }
  throw new SandlotError("task", `the repository at ${clone} does not have ${revision}: fetch it there`, {
    field: "environment.baseCommit",
    knob: "repositories",
  });
}
