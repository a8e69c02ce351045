import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SandlotError } from "../errors.ts";
import type { Backend, Limits } from "../sandbox/sandbox.ts";
import { allOf, backendOf } from "../sandbox/several.ts";
import type { Waiter } from "../shelf/flight.ts";
import { Shelf } from "../shelf/shelf.ts";
import type { Watch } from "./builder.ts";
import { type Collected, collect } from "./collect.ts";
import { Digests, sha256 } from "./digests.ts";
import type { Environment } from "./environment.ts";
import { Git } from "./git.ts";
import { interpreterIdentity } from "./interpreter-layer.ts";
import { findInterpreters, type Interpreter, type InterpreterPlaces } from "./interpreters.ts";
import type { Means } from "./layers.ts";
import { makeEnvironment } from "./make.ts";
import { BaseCommits, type Recipe, withImage } from "./recipe.ts";
import { findRepository, identifyRepository, isHere, type Source } from "./repository.ts";
import { type Missing, resolveRequirements, type Toolchain } from "./requirements.ts";
import { TESTBED } from "./swebench/inside.ts";
import { type PackageIndex, type PipAccess, pipAccess } from "./swebench/package-index.ts";
import { Pythons } from "./swebench/pythons.ts";
import { findPythonWithPip, interpreterFor, NO_PIP, SWEBENCH_VERSION } from "./swebench/tools.ts";
import type { Wanted } from "./wanted.ts";

export interface EnvironmentsOptions {
  readonly backend: Backend;
  /** The folder under which `environments`, `layers` and `tools` lie: on the backend's volume. */
  readonly stateDir: string;
  /** Folders of clones: `<folder>/<owner>__<name>[.git]`. */
  readonly repositories: readonly string[];
  readonly interpreters: Omit<InterpreterPlaces, "hostPath">;
  /** The Node that runs this server, for tasks that require `node` where /usr has none or an old one. */
  readonly nodeBinary: string;
  /** The PATH of this host's own programs: git, flock, tar, python3. */
  readonly hostPath: string;
  readonly packageIndex: PackageIndex;
  readonly limits: Limits;
  /** How long one set-up command may take. */
  readonly stepTimeoutMs: number;
  readonly newId: () => string;
  /** What was used within this time is not collected: who got it from `prepare` may be about to `acquire` it. Default 60 s. */
  readonly graceMs?: number;
}

/** Changes when the same recipe would be made differently. */
const FORMAT = 1;
const GRACE_MS = 60_000;

/** Prepared environments: each made once per content key, kept on disk, shared by all who use it. */
export class Environments {
  readonly #options: EnvironmentsOptions;
  readonly #shelf: Shelf;
  readonly #layers: Shelf;
  readonly #tools: Shelf;
  readonly #git: Git;
  readonly #baseCommits: BaseCommits;
  readonly #digests = new Digests();
  readonly #ready = new Map<string, Environment>();
  readonly #toolchains = new Map<string, Promise<Toolchains>>();
  #interpreters: Promise<readonly Interpreter[]> | undefined;
  #pip: Promise<string | undefined> | undefined;
  readonly #pythons = new Pythons();
  /** By the environment that is being made on it. */
  readonly #imagesInUse = new Map<string, string>();

  constructor(options: EnvironmentsOptions) {
    this.#options = options;
    this.#shelf = new Shelf(join(options.stateDir, "environments"), options.hostPath);
    this.#layers = new Shelf(join(options.stateDir, "layers"), options.hostPath);
    this.#tools = new Shelf(join(options.stateDir, "tools"), options.hostPath);
    this.#git = new Git(options.hostPath);
    const { repositories } = options;
    this.#baseCommits = new BaseCommits({ git: this.#git, digests: this.#digests, repositories });
  }

  /** The content key of a recipe: see `#keyOf`. */
  async key(wanted: Wanted, waiter: Waiter = {}): Promise<string> {
    return this.#keyOf(await this.#settle(wanted, waiter), waiter);
  }

  /**
   * Hex sha256 over all that decides what the environment holds and is known before it is made. Costs a few stat calls, and for the first recipe of swebench what it
   * takes to read its constants.
   */
  async #keyOf(recipe: Recipe, waiter: Waiter): Promise<string> {
    const { rootfs, repository, image: _, ...rest } = recipe;
    const [digest, identity, toolchains] = await Promise.all([
      this.#digests.ofRootfs(rootfs),
      identifyRepository(repository, this.#digests),
      this.#resolve(recipe),
    ]);
    const { name, capabilities } = this.#backendOf(recipe);
    const backend = name === "oci" && capabilities.isolation ? "isolated" : name;
    const swebench = await this.#swebenchIdentity(recipe, waiter);
    return sha256([FORMAT, backend, rootfs.type, digest, identity, toolchains.found, swebench, sorted(rest)]);
  }

  /**
   * The environment of a recipe, made if it is not there. Who asks at the same time, in this or another process, shares one making; a
   * failure is shared by those who wait, leaves nothing and is not remembered. Cancelling ends this caller's waiting; the making ends when nobody waits.
   */
  async prepare(wanted: Wanted, waiter: Waiter = {}): Promise<Environment> {
    const recipe = await this.#settle(wanted, waiter);
    const key = await this.#keyOf(recipe, waiter);
    // What is remembered may have been removed by another process, or by hand.
    const ready = this.#shelf.touch(key) ? await this.find(key) : undefined;
    if (ready) return ready;
    await this.#shelf.publish(
      key,
      (place, signal, report) => this.#make(key, recipe, place, { signal, report }),
      waiter,
    );
    const environment = await this.#load(key);
    if (environment) return environment;
    throw new SandlotError("sandbox", `environment ${key} was published and is gone: was the state folder cleaned?`);
  }

  async #settle(wanted: Wanted, waiter: Waiter): Promise<Recipe> {
    const recipe = await withImage(wanted, this.#backendOf(wanted).images, waiter);
    return this.#baseCommits.fix(recipe, waiter.signal);
  }

  /** An environment by its key, for a server that starts again; undefined when it is not on disk. */
  async find(key: string): Promise<Environment | undefined> {
    return this.#ready.get(key) ?? this.#load(key);
  }

  /** Keeps an environment from collection until `release`. Counted; in memory only. */
  acquire(key: string): void {
    this.#shelf.hold(key);
  }

  release(key: string): void {
    this.#shelf.release(key);
  }

  /** Removes the least recently used environments that nobody holds until those left take at most `maxBytes`, then layers that none of them names. `letGo` ends, before they go, what stands on an environment without holding it. */
  async collect(maxBytes: number, letGo: (environment: Environment) => Promise<void>): Promise<Collected> {
    const forget = async (key: string): Promise<void> => {
      const environment = await this.find(key);
      this.#ready.delete(key);
      if (environment !== undefined) await letGo(environment);
    };
    return collect({
      environments: this.#shelf,
      layers: this.#layers,
      images: allOf(this.#options.backend).flatMap(({ images }) => images?.kept ?? []),
      imagesInUse: this.#imagesInUse.values(),
      maxBytes,
      graceMs: this.#options.graceMs ?? GRACE_MS,
      forget,
    });
  }

  /** Removes what a killed process left half-made. For the start of a server. */
  async sweep(): Promise<void> {
    await this.#shelf.sweep();
    await this.#layers.sweep();
    await this.#tools.sweep();
  }

  /** What this host lacks to prepare a recipe; empty when nothing is known to be missing. Prepares and installs nothing. */
  async missingRequirements(wanted: Wanted): Promise<readonly Missing[]> {
    const { rootfs, setup } = wanted;
    if (rootfs.type === "image") return this.#missingImage(rootfs.ref, wanted);
    const { missing } = await this.#resolve({ ...wanted, rootfs });
    const repository = await this.#missingRepository(wanted);
    const swebench =
      setup.type === "swebench" && (await this.#findPip()) === undefined ? [{ name: "pip", message: NO_PIP }] : [];
    return [...missing, ...repository, ...swebench];
  }

  async #missingImage(ref: string, wanted: Wanted): Promise<readonly Missing[]> {
    const { images } = this.#backendOf(wanted);
    const lack = images === undefined ? `no backend here has images: ${ref}` : await images.lack?.(ref);
    return lack === undefined ? this.#missingRepository(wanted) : [{ name: "images", message: lack }];
  }

  #missingRepository({ repository }: Wanted): Promise<readonly Missing[]> {
    return this.#findRepository(repository).then(
      () => [],
      (error: unknown) => [{ name: "repository", message: error instanceof Error ? error.message : String(error) }],
    );
  }

  /** Undefined where none is looked for on this host. */
  async #findRepository(repository: Wanted["repository"]): Promise<Source | undefined> {
    return isHere(repository) ? findRepository(repository, this.#options.repositories) : undefined;
  }

  /** How this host's own pip reaches its package index, for a sandbox with network; without a pip the index is the public one. */
  async packageAccess(signal: AbortSignal): Promise<PipAccess> {
    const pip = await this.#findPip();
    return pip === undefined ? { indexes: [], env: {}, binds: [] } : pipAccess(pip, this.#options.packageIndex, signal);
  }

  async #make(key: string, recipe: Recipe, place: { folder: string; final: string }, watch: Watch): Promise<void> {
    const { found, missing } = await this.#resolve(recipe);
    if (missing.length > 0) {
      const message = missing.map((one) => one.message).join("; ");
      throw new SandlotError("task", `this host cannot play the task: ${message}`, { field: "environment.requires" });
    }
    const started = performance.now();
    if (recipe.rootfs.type === "image") this.#imagesInUse.set(key, recipe.rootfs.digest);
    const pins: AsyncDisposable[] = [];
    try {
      const rootfsDigest = await this.#digests.ofRootfs(recipe.rootfs);
      const site = { toolchains: found, folder: place.folder, rootfsDigest, pins };
      const built = await makeEnvironment(await this.#means(recipe), recipe, site, watch);
      const environment: Environment = {
        key,
        ...(recipe.backend && { backend: recipe.backend }),
        rootfs: recipe.rootfs,
        ...built,
        layers: built.layers.map((layer) => layer.replace(place.folder, place.final)),
        workdir: recipe.workdir,
        ...(recipe.image?.user && { user: recipe.image.user }),
        preparedMs: Math.round(performance.now() - started),
      };
      await writeFile(join(place.folder, FILE), `${JSON.stringify(environment, null, 2)}\n`);
    } catch (error) {
      // Who installs what was missing need not start the server again.
      this.#interpreters = undefined;
      throw error;
    } finally {
      this.#imagesInUse.delete(key);
      await Promise.all(pins.map((pin) => pin[Symbol.asyncDispose]()));
    }
  }

  #backendOf({ backend }: Pick<Wanted, "backend">): Backend {
    return backendOf(this.#options.backend, backend);
  }

  async #means(recipe: Recipe): Promise<Means> {
    const { limits, newId, stepTimeoutMs, hostPath, packageIndex } = this.#options;
    const backend = this.#backendOf(recipe);
    return {
      workshop: { backend, limits, newId, stepTimeoutMs },
      git: this.#git,
      layers: this.#layers,
      tools: this.#tools,
      interpreters: await this.#findInterpreters(),
      pip: await this.#findPip(),
      source: await this.#findRepository(recipe.repository),
      hostPath,
      packageIndex,
    };
  }

  async #load(key: string): Promise<Environment | undefined> {
    const text = await readFile(join(this.#shelf.path(key), FILE), "utf8").catch(() => undefined);
    if (text === undefined) return undefined;
    const environment: Environment = JSON.parse(text);
    this.#ready.set(key, environment);
    return environment;
  }

  /** The constants' release and the interpreter that they ask for; without a Python of their own an unknown version says so when it is made. */
  async #swebenchIdentity(recipe: Recipe, waiter: Waiter): Promise<readonly string[]> {
    const { setup } = recipe;
    if (setup.type !== "swebench" || !this.#backendOf(recipe).capabilities.isolation) return [];
    const source = { ...this.#options, tools: this.#tools, pip: await this.#findPip() };
    const python = await this.#pythons.of(source, setup, waiter);
    if (python === undefined) return [SWEBENCH_VERSION];
    try {
      return [
        SWEBENCH_VERSION,
        ...interpreterIdentity(interpreterFor({ python }, await this.#findInterpreters()), TESTBED),
      ];
    } catch (error) {
      this.#interpreters = undefined; // who installs what was missing need not start the server again
      throw error;
    }
  }

  async #resolve(recipe: Recipe): Promise<Toolchains> {
    const id = sha256([await this.#digests.ofRootfs(recipe.rootfs), recipe.rootfs, recipe.requires]);
    const known = this.#toolchains.get(id);
    if (known) return known;
    const { nodeBinary } = this.#options;
    const resolved = resolveRequirements(recipe.requires, recipe.rootfs, {
      nodeBinary,
      interpreters: () => this.#findInterpreters(),
    });
    // Only success is remembered: who installs what is missing need not start the server again.
    this.#toolchains.set(id, resolved);
    resolved.then(
      ({ missing }) => missing.length > 0 && this.#toolchains.delete(id),
      () => this.#toolchains.delete(id),
    );
    return resolved;
  }

  /** The host's own Python for installing tools and reading constants. */
  #findPip(): Promise<string | undefined> {
    this.#pip ??= this.#findInterpreters().then((all) => findPythonWithPip(all, this.#options.packageIndex));
    const found = this.#pip;
    // Only success is remembered.
    const forget = (): void => {
      if (this.#pip === found) this.#pip = undefined;
    };
    found.then((path) => path === undefined && forget(), forget);
    return found;
  }

  #findInterpreters(): Promise<readonly Interpreter[]> {
    const { interpreters, hostPath } = this.#options;
    this.#interpreters ??= findInterpreters({ ...interpreters, hostPath });
    return this.#interpreters;
  }
}

interface Toolchains {
  readonly found: readonly Toolchain[];
  readonly missing: readonly Missing[];
}

const FILE = "environment.json";

/** With the keys of every object in one order: a recipe's spelling must not decide its key. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([name, inner]) => [name, sorted(inner)]);
}
