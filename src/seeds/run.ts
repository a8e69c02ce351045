import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Environment } from "../environments/environment.ts";
import type { PipAccess } from "../environments/swebench/package-index.ts";
import { type DiffSize, excessOf } from "../grading/diff-size.ts";
import type { Backend, Bind, ExecResult, Limits, Sandbox, SandboxSpec } from "../sandbox/sandbox.ts";
import { removeTree } from "../shelf/shelf.ts";
import { type SeedResult, type SeedStatus, tailOf } from "./result.ts";
import type { Seed } from "./seed.ts";
import { APPLY, BUDGETS, type Budgets, PYTEST, PYTEST_ENDS } from "./stages.ts";

export interface SeedRun {
  readonly backend: Backend;
  readonly newId: () => string;
  readonly limits: Limits;
  readonly workbench: Environment;
  readonly packages: PipAccess;
  /** Where the repository is cloned from: a clone on this host, or an address. */
  readonly origin: { readonly path: string } | { readonly url: string };
  /** A folder that does not exist, on the backend's volume; gone afterwards. */
  readonly scratch: string;
  readonly patch?: Uint8Array;
  /** A patch that is more is refused before anything runs; 0 = off. */
  readonly maxDiff: DiffSize;
  readonly budgets?: Budgets;
  readonly signal: AbortSignal;
}

/**
 * Clones and installs a seed in a sandbox with network, then runs its tests in a fresh one without, and with a patch once more in another. A stage that is out of
 * time is ended with all its processes. Whatever the repository's code does is a result; fault `sandbox` when the infrastructure failed. Nothing is left.
 */
export async function runSeed(seed: Seed, run: SeedRun): Promise<SeedResult> {
  const clock = new Clock(run.budgets ?? BUDGETS);
  const excess = run.patch && excessOf(run.patch, run.maxDiff);
  if (excess !== undefined) return resultOf(seed, { status: "patch_refused", tail: excess }, clock);
  const layer = join(run.scratch, "layer");
  await mkdir(dirname(layer), { recursive: true, mode: 0o700 });
  try {
    const stopped = await installed(seed, run, layer, clock);
    if (stopped) return resultOf(seed, stopped, clock);
    const before = await tested(seed, run, layer, clock);
    if (run.patch === undefined) return resultOf(seed, before, clock);
    return { ...resultOf(seed, await tested(seed, run, layer, clock, run.patch), clock), before };
  } finally {
    await removeTree(run.scratch);
  }
}

function resultOf({ task_id, repo, ref, pytest_k }: Seed, { status, tail }: Ending, clock: Clock): SeedResult {
  return { task_id, repo, ref, pytest_k, status, duration_s: clock.seconds(), tail };
}

type Stage = Exclude<keyof Budgets, "run">;
type Ending = Pick<SeedResult, "status" | "tail">;

/** What is left of a run's time. */
class Clock {
  readonly budgets: Budgets;
  readonly #started = performance.now();

  constructor(budgets: Budgets) {
    this.budgets = budgets;
  }

  leftMs(): number {
    return this.budgets.run - (performance.now() - this.#started);
  }

  seconds(since = this.#started): number {
    return Math.round(performance.now() - since) / 1_000;
  }
}

/** A stage that did not come to its good end. */
class Stopped extends Error {
  readonly ending: Ending;

  constructor(ending: Ending) {
    super(ending.status);
    this.ending = ending;
  }
}

const PROJECT = "/workspace/project";
const ORIGIN = "/opt/origin.git";

async function installed(seed: Seed, run: SeedRun, layer: string, clock: Clock): Promise<Ending | undefined> {
  const { backend, packages, workbench, origin } = run;
  const binds: readonly Bind[] = "path" in origin ? [{ source: origin.path, target: ORIGIN }] : [];
  const env = { ...workbench.env, ...BUILD_ENV, ...packages.env, ...gitTrust(packages) };
  const spec = {
    ...specOf(run, []),
    binds: [...workbench.binds, ...packages.binds, ...binds],
    env,
    network: "host",
  } as const;
  const source = "path" in origin ? ORIGIN : origin.url;
  let stopped: Stopped | undefined;
  const work = async (sandbox: Sandbox): Promise<void> => {
    try {
      await stage(sandbox, "clone", ["bash", "-c", CLONE, "clone", source, seed.ref, PROJECT], { run, clock });
      await stage(sandbox, "install", ["bash", "-c", INSTALL], { run, clock, cwd: PROJECT });
    } catch (error) {
      if (error instanceof Stopped) stopped = error;
      throw error;
    }
  };
  try {
    await backend.buildLayer({ ...spec, workdir: "/" }, layer, work);
    return undefined;
  } catch (error) {
    // A layer that is not to be kept ends in an error of the backend's own.
    if (stopped !== undefined) return stopped.ending;
    throw error;
  }
}

async function tested(
  seed: Seed,
  run: SeedRun,
  layer: string,
  clock: Clock,
  patch?: Uint8Array,
): Promise<Ending & { readonly duration_s: number }> {
  const started = performance.now();
  const sandbox = await run.backend.create({ ...specOf(run, [layer]), workdir: PROJECT }, run.signal);
  try {
    if (patch !== undefined) await patched(sandbox, patch, run, clock);
    const chosen = seed.pytest_k === null ? [] : ["-k", seed.pytest_k];
    const result = await stage(sandbox, "tests", ["python", ...PYTEST, ...chosen], { run, clock, anyEnd: true });
    const status = PYTEST_ENDS.get(result.exitCode ?? -1) ?? "tests_error";
    return { status, duration_s: clock.seconds(started), tail: tailOf(outputOf(result)) };
  } catch (error) {
    if (error instanceof Stopped) {
      const { status, tail } = error.ending;
      return { status, duration_s: clock.seconds(started), tail };
    }
    throw error;
  } finally {
    await sandbox.dispose();
  }
}

async function patched(sandbox: Sandbox, patch: Uint8Array, run: SeedRun, clock: Clock): Promise<void> {
  const placed = await sandbox.writeFile(PATCH_FILE, patch, { callId: "place-patch", signal: run.signal });
  if (placed.failure !== undefined) throw new Stopped({ status: "patch_failed", tail: placed.failure });
  await stage(sandbox, "patch", ["bash", "-c", APPLY, "apply", sandbox.locate(PATCH_FILE)], { run, clock });
}

interface StageOptions {
  readonly run: SeedRun;
  readonly clock: Clock;
  readonly cwd?: string;
  /** Any exit code is a good end. */
  readonly anyEnd?: boolean;
}

/** One command within its budget and what is left of the run's. Throws `Stopped` where it did not end well. */
async function stage(
  sandbox: Sandbox,
  name: Stage,
  argv: readonly string[],
  { run, clock, cwd = sandbox.workdir, anyEnd = false }: StageOptions,
): Promise<ExecResult> {
  const leftMs = clock.leftMs();
  if (leftMs <= 0) throw new Stopped({ status: "run_timeout", tail: `no time was left for the stage ${name}` });
  const timeoutMs = Math.ceil(Math.min(clock.budgets[name], leftMs));
  const result = await sandbox.exec(argv, { callId: name, cwd, timeoutMs, keepBytes: KEEP_BYTES, signal: run.signal });
  const tail = tailOf(outputOf(result));
  if (result.timedOut !== false) {
    throw new Stopped({ status: leftMs < clock.budgets[name] ? "run_timeout" : `${name}_timeout`, tail });
  }
  const failed: SeedStatus = name === "tests" ? "tests_error" : `${name}_failed`;
  if (!anyEnd && result.exitCode !== 0) throw new Stopped({ status: failed, tail: tail || wordsOf(result) });
  return result;
}

function specOf({ newId, limits, workbench }: SeedRun, more: readonly string[]): Omit<SandboxSpec, "workdir"> {
  const { rootfs, layers, binds, env } = workbench;
  return { id: newId(), rootfs, layers: [...layers, ...more], binds, views: [], env, limits, network: "none" };
}

const KEEP_BYTES = 64 * 1024;
const PATCH_FILE = "/tmp/seed.patch";
const BUILD_ENV = {
  PIP_CACHE_DIR: "/tmp/pip-cache",
  PIP_DISABLE_PIP_VERSION_CHECK: "1",
  PIP_ROOT_USER_ACTION: "ignore",
  PIP_NO_INPUT: "1",
  GIT_TERMINAL_PROMPT: "0",
};

/** The whole history of a small repository: versions are often made from its tags. A branch is looked up at the origin. */
const CLONE = `
set -e
git config --global --add safe.directory '*'
git clone --quiet --no-checkout "$1" "$3"
cd "$3"
commit=$(git rev-parse --verify --quiet "$2^{commit}" || git rev-parse --verify --quiet "origin/$2^{commit}") || {
  echo "the repository has no commit, tag or branch $2" >&2
  exit 1
}
git checkout --quiet --detach "$commit"
`;

const INSTALL = `
if [ -e pyproject.toml ] || [ -e setup.py ]; then exec python -m pip install --editable .; fi
if [ -e requirements.txt ]; then exec python -m pip install -r requirements.txt; fi
`;

/** git asks another variable than pip for the certificates to trust. */
function gitTrust({ env }: PipAccess): Readonly<Record<string, string>> {
  const bundle = env["SSL_CERT_FILE"];
  return bundle === undefined ? {} : { GIT_SSL_CAINFO: bundle };
}

function outputOf({ output }: ExecResult): Uint8Array {
  return Buffer.concat(output.map(({ data }) => data));
}

function wordsOf(result: ExecResult): string {
  return (
    result.note ?? (result.signal === undefined ? `exit code ${result.exitCode}` : `ended by signal ${result.signal}`)
  );
}
