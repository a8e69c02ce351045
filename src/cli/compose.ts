import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { availableParallelism, homedir } from "node:os";
import { join, resolve } from "node:path";
import type { Logger } from "pino";
import { Admission } from "../admission/admission.ts";
import { diskLack } from "../admission/disk-room.ts";
import { memoryHeadroom } from "../admission/headroom.ts";
import { type Home, memoryGroups } from "../admission/memory-bound.ts";
import { type BackendConfig, LEAST_LIMITS, type Limits as LimitsConfig } from "../config.ts";
import { Environments } from "../environments/prepare.ts";
import { packageIndexVariables } from "../environments/swebench/package-index.ts";
import { SandlotError } from "../errors.ts";
import { Grader } from "../grading/grader.ts";
import { WAITS as ENGINE_WAITS } from "../sandbox/docker/waits.ts";
import { openBackend } from "../sandbox/open.ts";
import type { Backend, Limits } from "../sandbox/sandbox.ts";
import { SeveralBackends } from "../sandbox/several.ts";
import { WarmPool } from "../sandbox/warm.ts";
import type { Catalog } from "../tasks/catalog.ts";
import { newSandboxId } from "../trajectory/creation.ts";
import { type OpenRollouts, openRollouts } from "../trajectory/open.ts";
import type { TrajectoryLimits } from "../trajectory/rollouts.ts";
import { Judge } from "../verdict/judge-in-worker.ts";
import { filesOfTasks, readCatalog } from "./catalog.ts";
import { e2bOptions, roomOf } from "./e2b-options.ts";
import { judging } from "./judging.ts";
import type { Settings } from "./settings.ts";
import { lockState } from "./state-lock.ts";
import { VERSION } from "./version.ts";

/** Everything behind the wire, wired together. Disposing leaves live trajectories for the next start and removes all else. */
export interface Stack extends AsyncDisposable {
  readonly rollouts: OpenRollouts;
  readonly stateDir: string;
  /** Tells who finds the state folder locked where to ask. */
  announce(address: string): void;
}

const ROOT = join(import.meta.dirname, "../..");
/** Of a sandbox in which an environment is built: compilers want more than policies. */
const BUILD_LIMITS: Limits = {
  memoryMiB: 8_192,
  cpuMilli: availableParallelism() * 1_000,
  pids: 4_096,
  diskMiB: 32_768,
};
/** Nobody is told to come back from here: a grade waits for its slot. */
const GRADING_QUEUE = Number.MAX_SAFE_INTEGER;

/** Reads the tasks (which the signal ends), takes the state folder, opens the backend, reconciles. What was opened before a failure is closed again. */
export async function openStack(settings: Settings, log: Logger, signal?: AbortSignal): Promise<Stack> {
  const opened: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (let last = opened.pop(); last; last = opened.pop()) await last();
  };
  const catalog = await readCatalog(settings, signal);
  return open(settings, { catalog, log, opened }).then(
    (stack) => ({ ...stack, [Symbol.asyncDispose]: close }),
    async (error: unknown) => {
      await close();
      throw error;
    },
  );
}

/** What has to be closed again goes into `opened`, in the order of opening. */
async function open(
  settings: Settings,
  { catalog, log, opened }: { catalog: Catalog; log: Logger; opened: (() => Promise<void>)[] },
): Promise<Omit<Stack, typeof Symbol.asyncDispose>> {
  const { config, stateDir } = settings;
  const lock = await lockState(stateDir);
  opened.push(async () => lock.release());
  const instance = instanceOf(stateDir);
  const backend = await openOwnBackend(settings, instance);
  opened.push(() => backend.close());
  const newId = () => newSandboxId(instance);
  const environments = openEnvironments(settings, backend, newId);
  await environments.sweep();
  const gradingSlots = gradingAdmission(settings);
  const judge = new Judge({ workers: slotsOfGrading(settings) });
  opened.push(() => judge.close());
  const defaults = toLimits(config.limits.defaults);
  const hostLacks = (): Promise<string | undefined> => diskLack(stateDir);
  const { kind } = config.grading;
  const limits = ofSandbox(defaults);
  const failed = (err: unknown): void => log.error({ err }, "work behind the calls failed");
  const { per_environment: perEnvironment } = config.warm;
  const { warm: total } = roomOf(config);
  const warm = new WarmPool({ backend, perEnvironment, total, failed });
  const grader = new Grader({ backend, warm, judge, newId, limits, serverVersion: VERSION, hostLacks, kind });
  const rollouts = await openRollouts({
    ...{ stateDir, instance, backend, environments, catalog, gradingSlots, defaults, warm },
    slots: sandboxAdmission(settings),
    judge: judging({
      ...{ grader, environments, slots: gradingSlots },
      defaultGradeMs: defaults.gradeMs,
      maxDiff: config.grading.max_diff,
    }),
    least: toLimits(LEAST_LIMITS),
    most: toLimits(config.limits.most),
    caps: { keepBytes: config.output.kept_bytes, spillBytes: config.output.spill_bytes },
    leaseMs: config.lease_ms,
    harness: config.sandbox_service.enabled,
    recordDays: config.records.days,
    environmentsMaxBytes: config.environments.max_gib * 2 ** 30,
    failed,
  });
  opened.push(() => rollouts.close());
  log.info({ instance, stateDir, backend: backend.name, ...rollouts.reconciled }, "opened");
  return { rollouts, stateDir, announce: (address) => lock.announce(address) };
}

/** Where sandboxes and environments are made, without a server: for a command that works alone. */
export interface Yard {
  readonly backend: Backend;
  readonly environments: Environments;
  readonly newId: () => string;
  /** Of sandboxes. */
  readonly limits: Limits;
}

/** Runs `work` with the state folder to itself. */
export async function withYard<T>(settings: Settings, work: (yard: Yard) => Promise<T>): Promise<T> {
  const { stateDir, config } = settings;
  const lock = await lockState(stateDir);
  try {
    const instance = instanceOf(stateDir);
    const backend = await openOwnBackend(settings, instance);
    const newId = () => newSandboxId(instance);
    const environments = openEnvironments(settings, backend, newId);
    const limits = ofSandbox(toLimits(config.limits.defaults));
    return await work({ backend, environments, newId, limits }).finally(() => backend.close());
  } finally {
    lock.release();
  }
}

/** The backend of the settings, on their state folder, with those beside it, each on a folder of its own below. Their sandboxes see nothing of this install, which holds gold patches, nor of tasks and clones. */
export async function openOwnBackend(settings: Settings, instance: string): Promise<Backend> {
  const { config, stateDir, repositories } = settings;
  const common = {
    instance,
    runnerPath: join(ROOT, "runner/sandlot-runner"),
    hide: [ROOT, ...filesOfTasks(settings), ...repositories, stateDir],
  };
  const opened: Backend[] = [];
  const open = async (backend: BackendConfig, folder: string): Promise<Backend> => {
    const one = await openBackend({ ...common, stateDir: folder, ...ownOptions(backend, settings) });
    opened.push(one);
    return one;
  };
  try {
    const first = await open(config.backend, stateDir);
    const named = new Map<string, Backend>();
    for (const [name, backend] of Object.entries(config.backends)) {
      const folder = join(stateDir, "backends", name);
      await mkdir(folder, { recursive: true, mode: 0o700 });
      named.set(name, await open(backend, folder).catch((error: unknown) => Promise.reject(of(name, error))));
    }
    return named.size === 0 ? first : new SeveralBackends(first, named);
  } catch (error) {
    for (const one of opened) await one.close();
    throw error;
  }
}

/** What is said of `backend` is meant of one of `backends`. */
function of(name: string, error: unknown): unknown {
  if (!(error instanceof SandlotError)) return error;
  return new SandlotError(error.fault, `backends.${name}: ${error.message}`, { ...error.facts, cause: error });
}

/** What a backend has beside the common options, as its opener takes it. */
function ownOptions(backend: BackendConfig, settings: Settings) {
  switch (backend.type) {
    case "oci":
      return { ...backend, images: backend.images.map((path) => resolve(path)), env: environmentOfTools() };
    case "docker":
      return { ...backend, waits: ENGINE_WAITS };
    case "e2b":
      return e2bOptions(backend, settings, hostPath(process.env));
    case "process":
      return { type: backend.type };
  }
}

/** For programs that fetch images: where they look for engines, credentials and a way out. */
export function environmentOfTools(): Record<string, string> {
  const { env } = process;
  const names = Object.keys(env).filter((name) => TOOL_VARIABLES.test(name));
  return { ...Object.fromEntries(names.map((name) => [name, env[name] ?? ""])), PATH: hostPath(env) };
}

const TOOL_VARIABLES =
  /^(HOME|XDG_\w+|DOCKER_\w+|CONTAINERS?_\w+|REGISTRY_AUTH_FILE|REGISTRIES_\w+|SSL_CERT_\w+|https?_proxy|no_proxy|all_proxy)$/i;

function hostPath(env: NodeJS.ProcessEnv): string {
  return `${env["PATH"] ?? ""}:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin`;
}

export function openEnvironments(settings: Settings, backend: Backend, newId: () => string): Environments {
  const { config, stateDir, repositories } = settings;
  const { env } = process;
  const pyenv = env["PYENV_ROOT"] || join(homedir(), ".pyenv");
  return new Environments({
    ...{ backend, stateDir, repositories, newId },
    interpreters: { named: config.interpreters, versionFolders: [join(pyenv, "versions")] },
    nodeBinary: process.execPath,
    hostPath: hostPath(env),
    packageIndex: { variables: packageIndexVariables(env) },
    limits: BUILD_LIMITS,
    stepTimeoutMs: config.environments.command_ms,
  });
}

function sandboxAdmission({ config }: Settings): Admission {
  const { expected_mib, reserve_mib } = config.sandboxes;
  const { sandboxes: total } = roomOf(config);
  const pools = Object.entries(config.pools).map(([name, { slots, queue, priority }]) => [
    name,
    { slots: slots === "auto" ? total : Math.min(slots, total), queue, priority },
  ]);
  const groups = memoryGroups(homeOfSandboxes([config.backend, ...Object.values(config.backends)]));
  const headroom = memoryHeadroom({ perSandboxMiB: expected_mib, reserveMiB: reserve_mib, groups });
  return new Admission({ pools: Object.fromEntries(pools), total, headroom });
}

/** Without control groups of their own they are where this process is. */
function homeOfSandboxes(backends: readonly BackendConfig[]): Home {
  const rootless = process.getuid?.() !== 0;
  return backends.some(({ type }) => type === "process" || (type === "oci" && rootless)) ? "own" : "top";
}

function gradingAdmission(settings: Settings): Admission {
  const slots = slotsOfGrading(settings);
  return new Admission({ pools: { default: { slots, queue: GRADING_QUEUE, priority: 0 } }, total: slots });
}

const slotsOfGrading = ({ config }: Settings): number => roomOf(config).gradings;

function toLimits(limits: LimitsConfig): TrajectoryLimits {
  return {
    maxSteps: limits.max_steps,
    maxTurns: limits.max_turns,
    wallMs: limits.wall_ms,
    commandMs: limits.command_ms,
    noOutputMs: limits.no_output_ms,
    outputBytes: limits.output_bytes,
    memoryMiB: limits.memory_mib,
    cpuMilli: limits.cpu_milli,
    pids: limits.pids,
    diskMiB: limits.disk_mib,
    gradeMs: limits.grade_ms,
  };
}

const ofSandbox = ({ memoryMiB, cpuMilli, pids, diskMiB }: TrajectoryLimits): Limits => ({
  ...{ memoryMiB, cpuMilli, pids, diskMiB },
});

/** Made once per state folder, under its lock; part of every id. */
function instanceOf(stateDir: string): string {
  const path = join(stateDir, "instance");
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    const instance = randomBytes(4).toString("hex");
    writeFileSync(path, `${instance}\n`, { flag: "wx" });
    return instance;
  }
}
