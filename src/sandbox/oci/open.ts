import { randomBytes } from "node:crypto";
import { constants, readFileSync } from "node:fs";
import { access, mkdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { SandlotError } from "../../errors.ts";
import { detectCgroups, removeEmptyCgroups } from "../cgroup.ts";
import type { CommonOptions } from "../options.ts";
import type { SandboxSpec } from "../sandbox.ts";
import { OciBackend } from "./backend.ts";
import type { Ground } from "./create.ts";
import { delegateControllers } from "./delegation.ts";
import { openEtc, openHostRootfs } from "./host-rootfs.ts";
import { ImageTemplates } from "./image.ts";
import { ImageStore } from "./images/store.ts";
import { Launcher } from "./launcher.ts";
import type { OciSandbox } from "./oci-sandbox.ts";
import { missingPrivileges } from "./privileges.ts";
import { checkRootless } from "./rootless.ts";

export interface OciOptions extends CommonOptions {
  readonly type: "oci";
  readonly runtime: "auto" | "crun" | "runc";
  readonly disk: "auto" | "loop" | "watched";
  /** Folders of images by their names: what `docker save` writes, or layouts of the OCI. */
  readonly images: readonly string[];
  /** The environment of this host's own programs, such as those that fetch images: their PATH, and where they look for engines and credentials. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Opens the backend with the first runtime that really runs a command here, and the hardest limit on disk that works. Rejects with `unsupported` and what each of them
 * said when none does.
 */
export async function openOci(options: OciOptions): Promise<OciBackend> {
  const rootless = process.getuid?.() !== 0;
  if (rootless) await checkRootless(options);
  await access(options.runnerPath, constants.X_OK).catch((cause: unknown) => {
    throw new SandlotError("unsupported", `the runner is not built: ${options.runnerPath} (run scripts/setup)`, {
      cause,
    });
  });
  const cgroups = rootless ? undefined : detectCgroups();
  if (cgroups !== undefined) await delegateControllers(cgroups);
  const launcher = new Launcher({ hideUnified: cgroups?.hybrid === true, rootless });
  try {
    for (const name of ["sandboxes", "runtime", "disk", "rootfs"]) {
      await mkdir(join(options.stateDir, name), { recursive: true, mode: 0o700 });
    }
    const templates = new ImageTemplates(join(options.stateDir, "disk"), launcher);
    const { disk, softDisk } = rootless ? ROOTLESS_DISK : await chooseDisk(options.disk, templates);
    const images = new ImageStore(join(options.stateDir, "images"), options.env["PATH"] ?? "");
    await images.sweep();
    const ground = {
      images,
      source: { folders: options.images, env: options.env },
      stateDir: options.stateDir,
      instance: options.instance,
      runnerPath: options.runnerPath,
      hostRootfs: await openHostRootfs(join(options.stateDir, "rootfs")),
      etc: await openEtc(join(options.stateDir, "rootfs")),
      hide: await realPaths([...options.hide, options.stateDir]),
      cgroups,
      openFilesMax: openFilesMax(),
      launcher,
      templates,
      rootless,
      ...(softDisk !== undefined && { softDisk }),
    };
    const failures: string[] = [];
    for (const runtime of runtimesOf(options.runtime, rootless)) {
      const { failure, attaches } = await tryOut({ ...ground, runtime, attaches: true });
      // What a server that was killed left, and the trial.
      if (cgroups !== undefined) await removeEmptyCgroups(cgroups, `/sandlot-${ground.instance}`);
      if (failure === undefined) return new OciBackend({ ...ground, runtime, attaches }, disk);
      failures.push(failure);
    }
    const missing = rootless ? [] : missingPrivileges(cgroups);
    const advice =
      missing.length > 0 ? `. Lacking here, with the option that a container needs: ${missing.join("; ")}` : "";
    throw new SandlotError(
      "unsupported",
      `backend.runtime: expected a runtime that works here (install crun: "apt-get install crun", or runc). ${failures.join(". ")}${advice}`,
      { knob: "backend.runtime" },
    );
  } catch (error) {
    await launcher.close();
    if (cgroups !== undefined) await removeEmptyCgroups(cgroups, `/sandlot-${options.instance}`);
    throw error;
  }
}

function runtimesOf(wanted: OciOptions["runtime"], rootless: boolean): readonly ("crun" | "runc")[] {
  if (wanted !== "auto") return [wanted];
  return rootless ? ["crun"] : ["crun", "runc"];
}

interface Trial {
  /** Why not even `true` runs in a sandbox. */
  readonly failure?: string;
  readonly attaches: boolean;
}

/** Runs `true` in a small sandbox, and shows it to itself. */
async function tryOut(ground: Ground): Promise<Trial> {
  const backend = new OciBackend(ground, "folder");
  const spec: SandboxSpec = {
    id: `sandlot-${ground.instance}-${randomBytes(16).toString("hex")}`,
    rootfs: { type: "host" },
    layers: [],
    binds: [],
    views: [],
    workdir: "/",
    env: { PATH: "/usr/bin:/bin" },
    limits: { memoryMiB: 64, cpuMilli: 1000, pids: 32, diskMiB: 16 },
    network: "none",
  };
  try {
    const sandbox = await backend.create(spec, AbortSignal.timeout(60_000));
    try {
      const { exitCode, note } = await sandbox.exec(["true"], { callId: "probe", timeoutMs: 60_000 });
      if (exitCode === 0) return { attaches: await canAttach(backend, sandbox) };
      return { failure: `${ground.runtime}: \`true\` ended with ${exitCode} ${note ?? ""}`, attaches: false };
    } finally {
      await sandbox.dispose();
    }
  } catch (error) {
    const failure = error instanceof Error ? `${ground.runtime}: ${error.message}` : String(error);
    return { failure, attaches: false };
  }
}

/** A container may forbid the calls that this needs and allow all others. */
async function canAttach(backend: OciBackend, sandbox: OciSandbox): Promise<boolean> {
  try {
    await backend.attach?.(sandbox.id, { of: sandbox.id, at: "/view" });
    const shown = await sandbox.exec(["test", "-d", "/view/usr"], { callId: "view", timeoutMs: 60_000 });
    return shown.exitCode === 0;
  } catch {
    return false;
  }
}

/** `softDisk`: why the limit on disk is one that is watched. */
interface ChosenDisk {
  readonly disk: "folder" | "image";
  readonly softDisk?: string;
}

const ROOTLESS_DISK: ChosenDisk = { disk: "folder", softDisk: "only root mounts a disk image for a sandbox" };

async function chooseDisk(wanted: OciOptions["disk"], templates: ImageTemplates): Promise<ChosenDisk> {
  if (wanted === "watched") return { disk: "folder", softDisk: "backend.disk is watched" };
  const failure = await templates.probe();
  if (failure === undefined) return { disk: "image" };
  if (wanted === "auto") return { disk: "folder", softDisk: `disk images do not work here: ${failure}` };
  const message = `backend.disk: expected watched or auto, since loop images do not work here: ${failure}`;
  throw new SandlotError("unsupported", message, { knob: "backend.disk" });
}

/** Both runtimes refuse a limit above our own. */
function openFilesMax(): number {
  const line = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
  const hard = Number(line?.[1]);
  return Number.isFinite(hard) ? Math.min(hard, 1_048_576) : 1_048_576;
}

async function realPaths(paths: readonly string[]): Promise<string[]> {
  const all = await Promise.all(paths.map((path) => realpath(path).catch(() => undefined)));
  return all.filter((path) => path !== undefined);
}
