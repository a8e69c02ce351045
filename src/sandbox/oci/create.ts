import { chownSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SandlotError } from "../../errors.ts";
import { type Cgroups, expectEntry } from "../cgroup.ts";
import { identify } from "../identity.ts";
import { type SandboxRecord, writeRecord } from "../record.ts";
import { RunnerClient } from "../runner/client.ts";
import { socketDial } from "../runner/socket.ts";
import type { Bind, Rootfs, SandboxSpec } from "../sandbox.ts";
import { bundleConfig } from "./config.ts";
import type { HostRootfs } from "./host-rootfs.ts";
import type { ImageTemplates } from "./image.ts";
import type { OciImagesOptions } from "./images/images.ts";
import type { ImageStore } from "./images/store.ts";
import { type Launcher, UNIFIED } from "./launcher.ts";
import { type ImageMount, type Overlay, onImages, rootOverlay, startOn } from "./mounts.ts";
import { MAX_VIEWS, ownFolders, type Places, viewDisk, viewRoot } from "./places.ts";
import { findUser } from "./user.ts";
import { overlayOfView, type Viewed } from "./view.ts";

/** What is the same for every sandbox of a backend. */
export interface Ground {
  readonly stateDir: string;
  readonly instance: string;
  readonly runtime: "crun" | "runc";
  readonly runnerPath: string;
  readonly hostRootfs: HostRootfs;
  /** A layer with the files of /etc that say what this machine is called. */
  readonly etc: string;
  /** Folders of the host that no sandbox sees, even below one that it does. */
  readonly hide: readonly string[];
  readonly cgroups: Cgroups | undefined;
  readonly openFilesMax: number;
  readonly launcher: Launcher;
  readonly templates: ImageTemplates;
  readonly images: ImageStore;
  /** Where images come from. */
  readonly source: Pick<OciImagesOptions, "folders" | "env">;
  /** Whether a view can be mounted in a sandbox that runs. */
  readonly attaches: boolean;
  /** The server is not root of this host: user namespaces stand in. */
  readonly rootless: boolean;
  /** Why the limit on disk is one that is watched; absent: it is hard. */
  readonly softDisk?: string;
}

export interface Making {
  readonly spec: SandboxSpec;
  readonly places: Places;
  readonly disk: "folder" | "image";
  /** In the order of `spec.views`. */
  readonly viewed: readonly Viewed[];
  readonly signal: AbortSignal | undefined;
}

/**
 * Makes the sandbox's folder, mounts and processes; resolves when its runner answers. On a failure its caller removes what is there.
 * `sandbox.json` is written before anything starts, and again with the identity of the first process.
 */
export async function make(ground: Ground, making: Making): Promise<{ client: RunnerClient; record: SandboxRecord }> {
  const { spec, places, disk, signal } = making;
  const expected = ground.cgroups && expectEntry(ground.cgroups);
  const host = spec.rootfs.type === "host";
  const binds = [...(host ? ground.hostRootfs.binds : []), ...(spec.network === "host" ? await networkFiles() : [])];
  const points = [...binds, ...spec.binds, ...spec.views.map((view) => ({ source: "/", target: view.at }))];
  const needsPoints = points.length > (host ? ground.hostRootfs.binds.length : 0);
  const lower = [...(needsPoints ? [places.mountPoints] : []), ...basesOf(ground, spec.rootfs), ...spec.layers];
  const record: SandboxRecord = { version: 1, spec, lower, disk };
  layOut(making, record);
  if (needsPoints) for (const bind of points) makeMountPoint(places.mountPoints, bind);
  const user = findUser(spec.user ?? "", lower);
  if (ground.rootless && user.uid + user.gid !== 0) {
    throw new SandlotError("unsupported", `user: without root a sandbox has no user but root, got ${spec.user}`, {
      field: "user",
    });
  }
  // It binds its socket there.
  if (user.uid !== 0) chownSync(places.control, user.uid, user.gid);
  const config = bundleConfig({
    spec,
    user,
    root: places.root,
    cgroupsPath: cgroupPath(ground.instance, spec.id),
    cgroups: ground.cgroups,
    binds,
    views: spec.views.map((view, at) => ({ source: viewRoot(places, at), target: view.at })),
    masked: maskedPaths(ground.hide, binds, spec.binds),
    openFilesMax: ground.openFilesMax,
    ...(ground.rootless && { processesMax: spec.limits.pids }),
  });
  writeFileSync(places.config, JSON.stringify(config));
  signal?.throwIfAborted();
  await Promise.all([launch(ground, making, record), expected]);
  signal?.throwIfAborted();
  return await meet(making, record);
}

/** Lowest first. Above an image lie the names that an engine would give it. */
function basesOf({ hostRootfs, images, etc, rootless }: Ground, rootfs: Rootfs): readonly string[] {
  switch (rootfs.type) {
    case "host":
      return [hostRootfs.skeleton];
    case "directory":
      return [rootfs.path];
    case "image":
      if (rootless) {
        throw new SandlotError("unsupported", `without root there are no images, and so not ${rootfs.ref}`, {
          field: "rootfs",
        });
      }
      return [...images.foldersOf(rootfs.digest, rootfs.ref), etc];
  }
}

export function cgroupPath(instance: string, id: string): string {
  return `/sandlot-${instance}/${id}`;
}

/** A dozen small steps, done at once: a wait for each would cost more than the steps. */
function layOut({ spec, places, disk }: Making, record: SandboxRecord): void {
  mkdirSync(places.folder, { mode: 0o700 });
  writeRecord(places.record, record);
  const own = disk === "image" ? [] : ownFolders(spec.views.length).map((name) => join(places.own, name));
  const views = spec.views.flatMap((_, at) => [viewRoot(places, at), viewDisk(places, at)]);
  const mountPoints = disk === "image" ? [places.root, places.disk] : [places.root];
  for (const path of [places.control, ...mountPoints, ...own, ...views]) mkdirSync(path, { recursive: true });
}

async function launch(ground: Ground, making: Making, record: SandboxRecord): Promise<void> {
  const { spec, places, disk, viewed } = making;
  const template = disk === "image" ? await ground.templates.of(spec.limits.diskMiB) : undefined;
  const images: ImageMount[] = template === undefined ? [] : [{ image: places.image, target: places.disk, template }];
  const overlays: Overlay[] = [rootOverlay(record.lower, places.own, places.root)];
  for (const [at, of] of viewed.entries()) {
    if (of.record.disk === "image") images.push({ image: of.places.image, target: viewDisk(places, at) });
    overlays.push(overlayOfView(places, at, of));
  }
  const start = startOn(overlays, ground, runtimeCommand(ground, spec.id, places));
  const { code, stdout } = await ground.launcher.run({
    argv: onImages(images, start),
    open: [places.control, ground.runnerPath],
    timeoutMs: LAUNCH_MS,
    making: spec.id,
    ...(ground.cgroups?.hybrid ? { scratch: join(UNIFIED, cgroupPath(ground.instance, spec.id)) } : {}),
  });
  if (code === 0) return;
  const log = await readFile(places.log, "utf8").catch(() => "");
  const why = [stdout.trim(), log.trim()]
    .filter((text) => text !== "")
    .join("; ")
    .slice(0, 2_000);
  throw new SandlotError("sandbox", `${ground.runtime} did not start a sandbox: ${why || `exit code ${code}`}`);
}

function runtimeCommand({ runtime, stateDir, cgroups }: Ground, id: string, places: Places): string[] {
  return [
    runtime,
    ...["--root", join(stateDir, "runtime"), "--log", places.log],
    ...(runtime === "crun" ? [`--cgroup-manager=${cgroups === undefined ? "disabled" : "cgroupfs"}`] : []),
    ...["run", "--detach", "--preserve-fds", "2", "--bundle", places.folder, "--pid-file", places.pid, id],
  ];
}

async function meet(
  { places }: Making,
  record: SandboxRecord,
): Promise<{ client: RunnerClient; record: SandboxRecord }> {
  const identity = identify(Number(readFileSync(places.pid, "utf8")));
  if (identity === undefined) throw new SandlotError("sandbox", "the sandbox's first process ended at once");
  const started = { ...record, identity };
  writeRecord(places.record, started);
  const client = await RunnerClient.connect(socketDial(places.socket, MEET_MS));
  return { client, record: started };
}

const LAUNCH_MS = 60_000;
const MEET_MS = 20_000;

export function checkViews(spec: SandboxSpec): void {
  if (spec.views.length > MAX_VIEWS) {
    throw new SandlotError("invalid", `expected at most ${MAX_VIEWS} views, got ${spec.views.length}`, {
      field: "views",
    });
  }
}

/** With the host's network come its name servers and names. */
async function networkFiles(): Promise<Bind[]> {
  const files = ["/etc/resolv.conf", "/etc/hosts"];
  const there = await Promise.all(
    files.map((path) =>
      stat(path).then(
        (found) => found.isFile(),
        () => false,
      ),
    ),
  );
  return files.filter((_, at) => there[at]).map((path) => ({ source: path, target: path }));
}

function makeMountPoint(points: string, { source, target }: Bind): void {
  const path = join(points, target);
  const found = statSync(source, { throwIfNoEntry: false });
  if (found === undefined) {
    throw new SandlotError("invalid", `the folder or file to bind does not exist: ${source}`, { field: "binds" });
  }
  mkdirSync(found.isDirectory() ? path : dirname(path), { recursive: true });
  if (!found.isDirectory()) writeFileSync(path, "");
}

/** Where what is hidden would show inside through a folder that is bound from the host, unless it is what a spec itself binds. */
function maskedPaths(hide: readonly string[], host: readonly Bind[], own: readonly Bind[]): string[] {
  const shows = (hidden: string) => (bind: Bind) =>
    hidden.startsWith(`${bind.source}/`) || (hidden === bind.source && !own.includes(bind));
  return hide.flatMap((hidden) =>
    [...host, ...own].filter(shows(hidden)).map(({ source, target }) => `${target}${hidden.slice(source.length)}`),
  );
}
