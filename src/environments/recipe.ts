import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SandlotError } from "../errors.ts";
import type { Rootfs } from "../sandbox/sandbox.ts";
import type { EnvironmentRecipe } from "../tasks/task.ts";
import type { Digests } from "./digests.ts";
import type { Git } from "./git.ts";
import { findRepository, identifyRepository, openSource, type Repository } from "./repository.ts";

/** A recipe that is followed on this host: no image, and the base commit by its id. */
export interface Recipe extends Omit<EnvironmentRecipe, "rootfs" | "repository"> {
  readonly rootfs: Rootfs;
  readonly repository: Repository;
}

/** Fault `unsupported` for an image, which no backend that is built here can have. */
export function withoutImage({ rootfs, repository, ...rest }: EnvironmentRecipe): Recipe {
  if (rootfs.type !== "image" && repository.type !== "image") return { ...rest, rootfs, repository };
  const image = rootfs.type === "image" ? rootfs.ref : "the image that holds its repository";
  throw new SandlotError("unsupported", `the environment needs the capability images for ${image}`, {
    field: "environment.rootfs",
    knob: "backend",
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
    if (!recipe.baseCommit.startsWith("refs/")) return recipe;
    return { ...recipe, baseCommit: await this.#find(recipe.repository, recipe.baseCommit, signal) };
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
