import { constants, readFileSync } from "node:fs";
import { access, mkdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { SandlotError } from "../../errors.ts";
import type { Lacks } from "../abilities.ts";
import { detectCgroups } from "../cgroup.ts";
import { openHostRootfs } from "../oci/host-rootfs.ts";
import type { CommonOptions } from "../options.ts";
import type { Enforced } from "../sandbox.ts";
import { DockerBackend, type Site } from "./backend.ts";
import type { Ulimit } from "./container.ts";
import { Engine } from "./engine.ts";
import { EngineImages, type Pull } from "./images.ts";
import { newId } from "./rootfs.ts";
import type { EngineWaits } from "./waits.ts";

export interface DockerOptions extends CommonOptions {
  readonly type: "docker";
  /** The engine's socket; empty = `DOCKER_HOST`, or the usual place. */
  readonly socket: string;
  /** One that the engine knows, `runsc` for example; empty = the engine's default. */
  readonly runtime: string;
  /** The image that stands for this host's system folders; empty = these. */
  readonly host_image: string;
  readonly pull: Pull;
  readonly waits: EngineWaits;
}

/** Opens the backend after a sandbox has run. Rejects with `unsupported` and what the engine said where none does. */
export async function openDocker(options: DockerOptions): Promise<DockerBackend> {
  await access(options.runnerPath, constants.X_OK).catch((cause: unknown) => {
    throw new SandlotError("unsupported", `the runner is not built: ${options.runnerPath} (run scripts/setup)`, {
      cause,
    });
  });
  await mkdir(join(options.stateDir, "sandboxes"), { recursive: true, mode: 0o700 });
  const engine = new Engine(options.socket, options.waits);
  try {
    const site = await survey(engine, options);
    const here = new DockerBackend(site);
    const failure = await tryOut(here, options);
    if (failure === undefined) return here;
    if (!SEES_OTHER_FILES.test(failure)) throw new Error(failure);
    const there = new DockerBackend(elsewhere(site));
    if ((await tryOut(there, options)) === undefined) return there;
    throw new Error(failure);
  } catch (error) {
    engine.close();
    const words = error instanceof Error ? error.message : String(error);
    throw new SandlotError(
      "unsupported",
      `backend.socket: expected a container engine that runs containers: ${words}`,
      {
        knob: "backend.socket",
        cause: error,
      },
    );
  }
}

/** What engines say when they are asked to bind a program that is not on their host. All else may pass, and is no reason to take it for one of another host. */
const SEES_OTHER_FILES =
  /source path does not exist|no such file or directory|not a directory|is a directory|permission denied|mounts denied|not shared/i;

/** What the engine says that it can do, taken to be on this host. */
async function survey(engine: Engine, options: DockerOptions): Promise<Site> {
  const info: Info = await engine.read("say what it is", () => engine.docker.info());
  const { Components } = await engine.read("say its version", () => engine.docker.version());
  const isPodman = (Components ?? []).some(({ Name }) => Name.startsWith("Podman"));
  const kept = (can: boolean | undefined) => (can === false ? "NONE" : "HARD");
  const enforced: Enforced = {
    memoryMiB: kept(info.MemoryLimit),
    cpuMilli: kept(info.CpuCfsQuota),
    pids: kept(info.PidsLimit),
    diskMiB: "WATCHED",
  };
  const { stateDir, instance, runnerPath, runtime, host_image: hostImage, pull } = options;
  const hostRootfs = hostImage === "" ? await openHostRootfs(join(stateDir, "rootfs")) : undefined;
  return {
    ...{ engine, stateDir, instance, runnerPath, runtime, enforced },
    images: new EngineImages(engine, pull),
    local: true,
    rootfs: { hostRootfs, hostImage },
    hide: await realPaths([...options.hide, stateDir]),
    cgroups: detectCgroups(),
    ulimits: ownLimits(isPodman),
    lacks: {
      ...lackedBy(info, enforced, runtime),
      ...(isPodman && LACKED_BY_PODMAN),
    },
  };
}

/** Said aloud: without the privilege to raise limits an engine does not start a container with its own defaults. Podman has one for processes too. */
function ownLimits(isPodman: boolean): Ulimit[] {
  const limits = readFileSync("/proc/self/limits", "utf8");
  const hard = (name: string): number =>
    Number(new RegExp(`^${name}\\s+\\S+\\s+(\\d+)`, "m").exec(limits)?.[1] ?? Infinity);
  const files = Math.min(hard("Max open files"), 1_048_576);
  const processes = Math.min(hard("Max processes"), 32_768);
  return [
    { Name: "nofile", Soft: Math.min(files, 65_536), Hard: files },
    ...(isPodman ? [{ Name: "nproc", Soft: processes, Hard: processes }] : []),
  ];
}

/** The fields that count; engines leave some out. */
interface Info {
  readonly MemoryLimit?: boolean;
  readonly CpuCfsQuota?: boolean;
  readonly PidsLimit?: boolean;
  readonly LiveRestoreEnabled?: boolean;
  /** Of storage. */
  readonly Driver?: string;
}

const LACKED_BY_PODMAN: Lacks = {
  typeChanges: "Podman cannot list what a container changed where a folder took the place of a file",
  noUserNamespaces: "Podman's own list of calls allows them",
  survivesServer:
    "Podman closes the input of a container, by which the runner is spoken to, with the server's connection",
  survivesDaemon: "Podman closes the input of a container, by which the runner is spoken to, when its service ends",
};

function lackedBy({ LiveRestoreEnabled, Driver = "" }: Info, enforced: Enforced, runtime: string): Lacks {
  const no = (limit: keyof Enforced, ability: keyof Lacks): Lacks =>
    enforced[limit] === "NONE"
      ? { [ability]: "the container engine says that its kernel does not keep this limit" }
      : {};
  return {
    ...no("memoryMiB", "memoryLimit"),
    ...no("cpuMilli", "cpuLimit"),
    ...no("pids", "pidsLimit"),
    hardDiskLimit: `what a container writes is measured every second: the engine's storage${Driver === "" ? "" : `, ${Driver},`} is not asked for a limit of its own, which few hosts' disks keep`,
    ...(runtime.startsWith("runsc") && { oomCount: "gVisor's own kernel picks whom it ends, and does not say so" }),
    ...(/overlay/.test(Driver) && {
      folderRenames: `the engine's storage, ${Driver}, does not note where a folder of an image went: it is copied instead`,
    }),
    ...(LiveRestoreEnabled !== true && {
      survivesDaemon: "the container engine ends its containers when it starts again, unless its live-restore is on",
    }),
  };
}

function elsewhere(site: Site): Site {
  const away = "the container engine is not on this host";
  return {
    ...site,
    ...{ local: false, ulimits: [] },
    rootfs: { ...site.rootfs, hostRootfs: undefined },
    lacks: { ...site.lacks, hostNetwork: away, readOnlyBinds: away, oomCount: away, usage: away },
  };
}

/** Why no sandbox can be had. Where nothing stands for the host's folders, one that has nothing but the runner is enough. */
async function tryOut(
  backend: DockerBackend,
  { instance, stateDir, host_image }: DockerOptions,
): Promise<string | undefined> {
  const isBare = "hostNetwork" in backend.lacks && host_image === "";
  const empty = join(stateDir, "rootfs", "empty");
  if (isBare) await mkdir(join(empty, "dev"), { recursive: true });
  try {
    const sandbox = await backend.create({
      id: newId(instance),
      rootfs: isBare ? { type: "directory", path: empty } : { type: "host" },
      ...{ layers: [], binds: [], views: [], workdir: "/", env: { PATH: "/usr/bin:/bin" }, network: "none" },
      limits: { memoryMiB: 64, cpuMilli: 1_000, pids: 32, diskMiB: 64 },
    });
    try {
      if (isBare) return undefined;
      const { exitCode, note } = await sandbox.exec(["true"], { callId: "probe", timeoutMs: 60_000 });
      return exitCode === 0 ? undefined : `\`true\` ended with ${exitCode} ${note ?? ""}`;
    } finally {
      await sandbox.dispose();
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function realPaths(paths: readonly string[]): Promise<string[]> {
  const all = await Promise.all(paths.map((path) => realpath(path).catch(() => undefined)));
  return all.filter((path) => path !== undefined);
}
