import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Environments } from "../environments/prepare.ts";
import { SandlotError } from "../errors.ts";
import type { Ability } from "../sandbox/abilities.ts";
import { imageTools } from "../sandbox/oci/images/fetch.ts";
import type { Backend, Limits } from "../sandbox/sandbox.ts";
import { checkProtected } from "../server/listen.ts";
import type { Catalog } from "../tasks/catalog.ts";
import { newSandboxId } from "../trajectory/creation.ts";
import { wireName } from "../trajectory/wire-name.ts";
import { readCatalog } from "./catalog.ts";
import { environmentOfTools, openEnvironments, openOwnBackend } from "./compose.ts";
import { type RoundTrip, roundTrip } from "./round-trip.ts";
import type { Settings } from "./settings.ts";
import { openTls } from "./tls.ts";

/** What one look at this host came to. */
export interface Finding {
  /** Of a setting: as the configuration spells it. */
  readonly name: string;
  readonly status: "ok" | "warn" | "fail";
  readonly message: string;
  /** Milliseconds of what was tried, where that was measured. */
  readonly ms?: Readonly<Record<string, number>>;
}

/** One look. What it throws is a `fail` with the error's words. */
export interface Check {
  readonly name: string;
  look(settings: Settings): Promise<readonly Finding[]>;
}

const run = promisify(execFile);
const FREE_GIB = 5;
const TRIPS = 3;
/** Instance of trial sandboxes: not that of a state folder. */
const TRIAL = randomBytes(4).toString("hex");

export const CHECKS: readonly Check[] = [
  { name: "node", look: async () => [ok("node", `${process.version} (${process.execPath})`)] },
  { name: "git", look: () => program("git", ["--version"], "fail", "install git") },
  { name: "flock", look: () => program("flock", ["--version"], "fail", "install util-linux") },
  {
    name: "patch",
    look: () => program("patch", ["--version"], "warn", "install patch: one way to apply a submission needs it"),
  },
  {
    name: "python",
    look: () =>
      program(
        "python3",
        ["-c", "import ensurepip, venv, sys; print(sys.version.split()[0])"],
        "warn",
        "install python3 and python3-venv: rows of SWE-bench and the Python client need them",
      ),
  },
  { name: "state_dir", look: stateFolder },
  { name: "images", look: images },
  { name: "backend", look: backendsAndTasks },
  { name: "listen", look: protection },
];

async function program(
  name: string,
  args: readonly string[],
  missing: "warn" | "fail",
  advice: string,
): Promise<readonly Finding[]> {
  try {
    const { stdout } = await run(name, [...args], { timeout: 10_000 });
    return [ok(name, stdout.split("\n")[0] ?? "")];
  } catch {
    return [{ name, status: missing, message: `\`${name} ${args[0]}\` does not run: ${advice}` }];
  }
}

async function images({ config }: Settings): Promise<readonly Finding[]> {
  const found = [...(await imageTools(environmentOfTools())).values()];
  const folders = config.backend.type === "oci" ? config.backend.images : [];
  const named = folders.length > 0 ? `; by name in ${folders.join(", ")}` : "";
  if (found.length > 0) return [ok("images", `fetched by ${found.join(", ")}${named}`)];
  const message = `only from archives and layouts${named}: install skopeo, podman or docker to fetch images for the oci backend`;
  return [{ name: "images", status: "warn", message }];
}

async function stateFolder({ stateDir }: Settings): Promise<readonly Finding[]> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const { bavail, bsize } = await statfs(stateDir);
  const free = (bavail * bsize) / 2 ** 30;
  const message = `${stateDir}, ${free.toFixed(1)} GiB free`;
  if (free >= FREE_GIB) return [ok("state_dir", message)];
  return [
    {
      name: "state_dir",
      status: "warn",
      message: `${message}: environments and sandboxes want more, name another one by --state`,
    },
  ];
}

async function backendsAndTasks(settings: Settings): Promise<readonly Finding[]> {
  const catalog = await readCatalog(settings);
  const found: Finding[] = [];
  for (const each of configured(settings)) found.push(...(await tried(each)));
  if (found.some(({ status }) => status === "fail")) return found;
  const tasks = await withTrialBackend(settings, (opened) =>
    playable(
      catalog,
      openEnvironments(settings, opened, () => newSandboxId(TRIAL)),
    ),
  );
  return [...found, ...tasks];
}

/** A backend as if there were no other, by the place of its settings. */
interface Configured {
  readonly place: string;
  readonly settings: Settings;
}

function configured(settings: Settings): readonly Configured[] {
  const { config } = settings;
  const all = [["backend", config.backend], ...named(config.backends)] as const;
  return all.map(([place, backend]) => ({
    place,
    settings: { ...settings, config: { ...config, backend, backends: {} } },
  }));
}

const named = <T>(backends: Readonly<Record<string, T>>): (readonly [string, T])[] =>
  Object.entries(backends).map(([name, backend]) => [`backends.${name}`, backend] as const);

/** One that does not work hides nothing of the others. */
async function tried({ place, settings }: Configured): Promise<readonly Finding[]> {
  try {
    return await withTrialBackend(settings, async (opened) => [
      await trial(place, opened),
      ...[...isolation(opened), ...limits(opened), ...lacking(opened)].map((finding) =>
        place === "backend" ? finding : { ...finding, name: `${place}.${finding.name}` },
      ),
    ]);
  } catch (error) {
    if (!(error instanceof SandlotError)) throw error;
    return [{ name: place, status: "fail", message: error.message }];
  }
}

async function trial(place: string, backend: Backend): Promise<Finding> {
  const trips: RoundTrip[] = [];
  for (let round = 0; round < TRIPS; round++) {
    trips.push(await roundTrip(backend, newSandboxId(TRIAL), { type: "host" }));
  }
  const quickest = (part: keyof RoundTrip): number =>
    Math.round(10 * Math.min(...trips.map((trip) => trip[part]))) / 10;
  const [create, execute] = [quickest("create"), quickest("execute")];
  const ms = { create, execute, file: quickest("file"), release: quickest("release") };
  const message = `${backend.name}: create ${ms.create} ms, execute ${ms.execute} ms, a file of 1 MiB there and back ${ms.file} ms, release ${ms.release} ms (the quickest of ${TRIPS} round trips)`;
  return { ...ok(place, message), ms };
}

function isolation({ name, capabilities }: Backend): Finding[] {
  if (capabilities.isolation) {
    const kernel = KERNELS[name] ?? "the kernel is shared with this host";
    return [ok("isolation", `own processes, files, network and user capabilities; ${kernel}`)];
  }
  return [
    { name: "isolation", status: "warn", message: `none: on the ${name} backend commands can do all that you can do` },
  ];
}

/** Whose kernel a sandbox runs on, where it is not this host's. */
const KERNELS: Readonly<Record<string, string>> = {
  docker: "the kernel is that of the engine's host, or what its runtime puts before it",
  e2b: "the kernel is that of the service's machine, which no other sandbox is in (E2B's machines have one of their own)",
};

/** What of a sandbox's contract cannot be had here, but for limits. */
function lacking({ lacks }: Backend): Finding[] {
  return Object.entries(lacks)
    .filter(([ability]) => ability !== "isolation" && !ability.endsWith("Limit"))
    .map(([ability, reason]) => ({ name: `lacks.${wireName(ability)}`, status: "warn", message: reason }));
}

const ABILITY_OF: Readonly<Record<keyof Limits, Ability>> = {
  memoryMiB: "memoryLimit",
  cpuMilli: "cpuLimit",
  pids: "pidsLimit",
  diskMiB: "diskLimit",
};

function limits({ enforced, lacks }: Backend): Finding[] {
  return Object.entries(enforced).map(([limit, how]): Finding => {
    const name = `limits.${wireName(limit)}`;
    if (how === "HARD") return ok(name, "kept by the kernel");
    const why = lacks[how === "WATCHED" ? "hardDiskLimit" : ABILITY_OF[limit as keyof Limits]]; // the keys of `Enforced`
    const because = limit === "diskMiB" && why !== undefined ? `: ${why}` : "";
    const message = how === "WATCHED" ? `kept by looking now and then${because}` : `not kept on this host: ${why}`;
    return { name, status: how === "NONE" ? "warn" : "ok", message };
  });
}

async function playable(catalog: Catalog, environments: Environments): Promise<readonly Finding[]> {
  const lacking = new Map<string, string[]>();
  for (const { id, environment } of catalog.list()) {
    const missing = (await environments.missingRequirements(environment)).map(({ message }) => message).join("; ");
    lacking.set(missing, [...(lacking.get(missing) ?? []), id]);
  }
  const count = lacking.get("")?.length ?? 0;
  lacking.delete("");
  const unplayable = [...lacking].map(([why, ids]): Finding => {
    const some = `${ids.slice(0, 3).join(", ")}${ids.length > 3 ? " ..." : ""}`;
    return { name: "tasks", status: "warn", message: `${ids.length} cannot be played here (${some}): ${why}` };
  });
  return [ok("tasks", `${count} of ${catalog.size} can be played here`), ...unplayable];
}

async function protection({ credentials, listen, config }: Settings): Promise<readonly Finding[]> {
  const { tokens } = credentials;
  const tls = openTls(config.tls);
  checkProtected({ address: listen, tokens, tls, clearText: config.tls.tokens_travel_in_clear_text });
  const clients = config.tls.client_ca_file === "" ? "" : ", and clients need one of their own";
  const encrypted = tls ? `TLS with a certificate until ${tls.expires.toISOString()}${clients}` : "plain text";
  const admits =
    tokens.length > 0 ? `${tokens.length} tokens admit clients` : "no tokens, whoever reaches it may use it";
  return [ok("listen", `${listen}: ${encrypted}; ${admits}`)];
}

/** A backend on a state folder of its own, on the same volume, which is gone afterwards. */
async function withTrialBackend<T>(settings: Settings, work: (backend: Backend) => Promise<T>): Promise<T> {
  const stateDir = join(settings.stateDir, `doctor-${process.pid}`);
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  try {
    const opened = await openOwnBackend({ ...settings, stateDir }, TRIAL);
    try {
      return await work(opened);
    } finally {
      await opened.close();
    }
  } finally {
    await rm(stateDir, { recursive: true, force: true });
  }
}

const ok = (name: string, message: string): Finding => ({ name, status: "ok", message });
