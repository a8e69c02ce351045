import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { SandlotError } from "../errors.ts";
import { hideBelow } from "../sandbox/archive/opaque.ts";
import type { Shelf } from "../shelf/shelf.ts";
import type { Builder, Watch, Workshop } from "./builder.ts";
import { checkOut } from "./checkout.ts";
import { sha256 } from "./digests.ts";
import type { Environment } from "./environment.ts";
import type { Git } from "./git.ts";
import { copyInterpreter, interpreterIdentity } from "./interpreter-layer.ts";
import type { Interpreter } from "./interpreters.ts";
import type { Recipe } from "./recipe.ts";
import type { Source } from "./repository.ts";
import type { Toolchain } from "./requirements.ts";
import { BASE_PATH } from "./requirements.ts";
import { type Sealing, seal } from "./seal.ts";
import type { PackageIndex } from "./swebench/package-index.ts";

/** What the makers work with. */
export interface Means {
  readonly workshop: Workshop;
  readonly git: Git;
  /** Layers that several environments share. */
  readonly layers: Shelf;
  /** Programs of other people that preparation runs on the host, installed on first use. */
  readonly tools: Shelf;
  readonly interpreters: readonly Interpreter[];
  /** A Python of this host whose pip works. */
  readonly pip: string | undefined;
  /** Undefined where the repository lies in the image. */
  readonly source: Source | undefined;
  readonly hostPath: string;
  readonly packageIndex: PackageIndex;
}

/** A half-made environment: its layers in `folder` become the environment's by rename. */
export interface Site {
  readonly toolchains: readonly Toolchain[];
  readonly folder: string;
  /** Identifies the root file system. */
  readonly rootfsDigest: string;
  /** Shared layers in use by what is being made: disposed when it is published. */
  readonly pins: AsyncDisposable[];
}

export type Built = Pick<Environment, "layers" | "binds" | "env" | "baseCommit" | "seal">;

export interface SiteWithClone extends Site {
  readonly clone: string;
}

/** The repository at the base commit as a layer of its own. */
export async function checkoutLayer(means: Means, recipe: Recipe, site: SiteWithClone, watch: Watch): Promise<string> {
  watch.report({ stage: "checkout", message: `checking out ${recipe.baseCommit.slice(0, 12)}` });
  const layer = join(site.folder, "repository");
  await mkdir(layer, { mode: 0o755 });
  await checkOut({
    git: means.git,
    source: site.clone,
    target: join(layer, recipe.workdir),
    baseCommit: recipe.baseCommit,
    history: recipe.history,
    signal: watch.signal,
  });
  // What the image has there is no part of it.
  if (recipe.rootfs.type === "image") await hideBelow(layer, recipe.workdir, watch.signal);
  return layer;
}

/** An interpreter's copy at `at`, shared by all who ask for the same. */
export async function interpreterLayer(
  means: Means,
  wanted: { readonly interpreter: Interpreter; readonly at: string },
  site: Site,
  watch: Watch,
): Promise<string> {
  const { interpreter, at } = wanted;
  return sharedLayer(means, interpreterIdentity(interpreter, at), site, watch, async (layer, { signal, report }) => {
    report({ stage: "interpreter", message: `copying Python ${interpreter.version}` });
    await mkdir(layer, { mode: 0o755 });
    await copyInterpreter(interpreter, layer, at, { hostPath: means.hostPath, signal });
  });
}

/** A layer that several environments stand on, made once per identity by `make`, which creates the folder it is given. Not collected while the site exists. */
export async function sharedLayer(
  means: Means,
  identity: readonly unknown[],
  site: Site,
  watch: Watch,
  make: (layer: string, watch: Watch) => Promise<void>,
): Promise<string> {
  const key = sha256(identity);
  const pin = await means.layers.publishAndPin(
    key,
    ({ folder }, signal, report) => make(join(folder, LAYER), { signal, report }),
    watch,
  );
  site.pins.push(pin);
  return join(means.layers.path(key), LAYER);
}

/** The tree of a shared layer within its shelf folder. */
const LAYER = "layer";

/** Runs the set-up commands of a recipe in order. */
export async function runSetup(builder: Builder, commands: readonly string[], watch: Watch): Promise<void> {
  for (const [index, command] of commands.entries()) {
    watch.report({ stage: "setup", message: command.slice(0, 200), fraction: index / commands.length });
    await builder.run("setup", command);
  }
}

/** Seals the repository in a builder sandbox. */
export async function sealIn(builder: Builder, from: Sealing, watch: Watch): Promise<string> {
  watch.report({ stage: "seal", message: "sealing the repository" });
  const git = await builder.exec(["git", "--version"], {});
  if (git.exitCode === 0) return seal(builder.repo(), from);
  throw new SandlotError("task", "sealing needs git inside: it was not found in the root file system", {
    field: "environment.rootfs",
  });
}

/** The whole environment of commands: nothing of the host's comes in. Over an image it is what the image says, as an engine would have it. */
export function baseEnv({ image, env }: Pick<Recipe, "image" | "env">, path = BASE_PATH): Record<string, string> {
  if (image === undefined) return { ...hostEnv(path), ...env };
  const home = ["", "root", "0"].includes(image.user.split(":")[0] ?? "") ? { HOME: "/root" } : {};
  return { PATH: path, ...home, ...image.env, ...env };
}

export function hostEnv(path: string): Record<string, string> {
  return { PATH: path, HOME: "/root", LANG: "C.UTF-8", TZ: "Etc/UTC" };
}
