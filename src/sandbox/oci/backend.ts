import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, rename } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { SandlotError } from "../../errors.ts";
import type { Lacks } from "../abilities.ts";
import { Cgroup, listCgroups, removeEmptyCgroups } from "../cgroup.ts";
import type { BareBackend } from "../guarded.ts";
import { type Identity, identify, lives } from "../identity.ts";
import { type ProcessGroup, ProcessTree } from "../process-group.ts";
import { readRecord, type SandboxRecord } from "../record.ts";
import { RunnerClient, RunnerGone } from "../runner/client.ts";
import { socketDial } from "../runner/socket.ts";
import type { Capabilities, Enforced, SandboxSpec } from "../sandbox.ts";
import { Turns } from "../turns.ts";
import { Turnstile } from "../turnstile.ts";
import { cgroupPath, checkViews, type Ground, make } from "./create.ts";
import { DiskWatch } from "./disk-watch.ts";
import { OciImages } from "./images/images.ts";
import { LauncherGone } from "./launcher.ts";
import { MemoryWatch } from "./memory-watch.ts";
import { OciSandbox } from "./oci-sandbox.ts";
import { placesOf } from "./places.ts";
import { ROOTLESS_LACKS } from "./rootless.ts";
import { endProcesses, removeBytes } from "./teardown.ts";
import { attachView, type Viewed } from "./view.ts";

type Disk = "folder" | "image";

/** Sandboxes by an OCI runtime on overlayfs. Made by `openOci`. */
export class OciBackend implements BareBackend {
  readonly name = "oci";
  readonly capabilities: Capabilities;
  readonly lacks: Lacks;
  readonly enforced: Enforced;
  readonly images?: OciImages;
  readonly attach?: NonNullable<BareBackend["attach"]>;
  readonly #ground: Ground;
  readonly #disk: Disk;
  readonly #watch: DiskWatch;
  readonly #memoryWatch: MemoryWatch | undefined;
  readonly #launches = new Turnstile(Math.max(4, 2 * availableParallelism()));
  readonly #open = new Map<string, OciSandbox>();
  /** Creates and removals under way, by id: a removal waits for what came before it. */
  readonly #turns = new Turns();

  constructor(ground: Ground, disk: Disk) {
    this.#ground = ground;
    this.#disk = disk;
    this.#watch = new DiskWatch(ground.launcher);
    this.capabilities = { isolation: true, snapshot: false, network: true, images: !ground.rootless };
    this.#memoryWatch = ground.rootless ? new MemoryWatch() : undefined;
    this.enforced = enforcedBy(ground, disk);
    this.lacks = lackedBy(ground);
    if (!ground.rootless) {
      const buildLayer = this.buildLayer.bind(this);
      const hostPath = ground.source.env["PATH"] ?? "";
      const unpacker = { instance: ground.instance, hostPath, buildLayer };
      this.images = new OciImages({ store: ground.images, unpacker, ...ground.source });
    }
    if (ground.attaches) {
      const { launcher } = ground;
      this.attach = async (id, view) => {
        const [sandbox, of] = await Promise.all([this.#viewed(id), this.#viewed(view.of)]);
        await attachView({ sandbox, of, target: view.at, launcher, mounter: ground });
      };
    }
  }

  create(spec: SandboxSpec, signal?: AbortSignal): Promise<OciSandbox> {
    return this.#create(spec, this.#disk, signal);
  }

  reopen(id: string): Promise<OciSandbox | undefined> {
    return this.#turns.take(id, () => this.#reopen(id));
  }

  async list(): Promise<readonly string[]> {
    const { stateDir, instance, cgroups } = this.#ground;
    const folders = await readdir(join(stateDir, "sandboxes")).catch(() => []);
    const groups = cgroups === undefined ? [] : await listCgroups(cgroups, `/sandlot-${instance}`);
    const runtime = await readdir(join(stateDir, "runtime")).catch(() => []);
    const all = new Set([...folders, ...groups, ...runtime]);
    return [...all].filter((id) => id.startsWith(`sandlot-${instance}-`));
  }

  async remove(id: string): Promise<void> {
    await this.#open.get(id)?.dispose();
    await this.#turns.take(id, () => this.#removeRemains(id));
  }

  async buildLayer(spec: SandboxSpec, target: string, work: (sandbox: OciSandbox) => Promise<void>): Promise<void> {
    if (existsSync(target)) throw new SandlotError("invalid", `the layer's folder exists already: ${target}`);
    const sandbox = await this.#create(spec, "folder", undefined);
    try {
      await work(sandbox);
      if (!(await sandbox.alive())) {
        throw new SandlotError("task", sandbox.endedByItself() ?? "the sandbox ended while the layer was built");
      }
      await sandbox.stop();
      const upper = join(sandbox.folder, "upper");
      await this.#sync(upper);
      await mkdir(dirname(target), { recursive: true });
      await rename(upper, target);
    } finally {
      await sandbox.dispose();
    }
  }

  async close(): Promise<void> {
    await this.#turns.settled();
    this.#watch[Symbol.dispose]();
    this.#memoryWatch?.[Symbol.dispose]();
    await Promise.all([...this.#open.values()].map((sandbox) => sandbox.detach()));
    await this.#ground.launcher.close();
    const { cgroups, instance } = this.#ground;
    if (cgroups !== undefined) await removeEmptyCgroups(cgroups, `/sandlot-${instance}`);
  }

  #create(spec: SandboxSpec, disk: Disk, signal: AbortSignal | undefined): Promise<OciSandbox> {
    if (this.#turns.has(spec.id) || this.#open.has(spec.id)) {
      return Promise.reject(new SandlotError("invalid", `the sandbox ${spec.id} exists already`, { field: "id" }));
    }
    const make = (): Promise<OciSandbox> => this.#make(spec, disk, signal);
    // Once more when the launcher was killed under it, for want of memory for example: nothing of the first try is left.
    const again = (error: unknown): Promise<OciSandbox> =>
      error instanceof LauncherGone ? make() : Promise.reject(error);
    return this.#turns.take(spec.id, () => this.#launches.pass(() => make().catch(again)));
  }

  async #make(spec: SandboxSpec, disk: Disk, signal: AbortSignal | undefined): Promise<OciSandbox> {
    signal?.throwIfAborted();
    checkViews(spec);
    const viewed = await Promise.all(spec.views.map((view) => this.#viewed(view.of)));
    const places = placesOf(this.#ground.stateDir, spec.id, disk);
    if (existsSync(places.folder))
      throw new SandlotError("invalid", `the sandbox ${spec.id} exists already`, { field: "id" });
    try {
      const { client, record } = await make(this.#ground, { spec, places, disk, viewed, signal });
      return this.#adopt(record, client);
    } catch (error) {
      await this.#removeRemains(spec.id);
      throw error;
    }
  }

  async #reopen(id: string): Promise<OciSandbox | undefined> {
    const known = this.#open.get(id);
    if (known !== undefined) return (await known.alive()) ? known : undefined;
    const record = await this.#record(id);
    if (record?.identity === undefined || !lives(record.identity)) return undefined;
    const places = placesOf(this.#ground.stateDir, id, record.disk);
    await this.#groupOf(record.identity, id)?.thaw(); // frozen by a server that was killed
    try {
      const client = await RunnerClient.connect(socketDial(places.socket, 5_000));
      return this.#adopt(record, client);
    } catch (error) {
      if (error instanceof RunnerGone) return undefined;
      throw error;
    }
  }

  #adopt(record: SandboxRecord, client: RunnerClient): OciSandbox {
    const { spec, disk, identity } = record;
    if (identity === undefined) throw new Error("a sandbox without a process cannot be opened");
    const sandbox = new OciSandbox({
      id: spec.id,
      spec,
      disk,
      identity,
      client,
      places: placesOf(this.#ground.stateDir, spec.id, disk),
      group: this.#groupOf(identity, spec.id),
      launcher: this.#ground.launcher,
      watch: this.#watch,
      memoryWatch: this.#memoryWatch,
      enforced: enforcedBy(this.#ground, disk),
      disposed: () => this.#open.delete(spec.id),
    });
    this.#open.set(spec.id, sandbox);
    return sandbox;
  }

  async #removeRemains(id: string): Promise<void> {
    const record = await this.#record(id);
    const { stateDir, launcher } = this.#ground;
    const places = placesOf(stateDir, id, record?.disk ?? "folder");
    // Without a control group only the runtime's note tells of a process that was started and not yet written down.
    const identity = record?.identity ?? (this.#ground.rootless ? startedAs(places.pid) : undefined);
    const remains = {
      id,
      places,
      disk: record?.disk ?? "folder",
      identity,
      group: this.#groupLeft(identity, id),
      launcher,
    } as const;
    await endProcesses(remains);
    await removeBytes(remains);
  }

  async #viewed(id: string): Promise<Viewed> {
    const record = await this.#record(id);
    if (record === undefined)
      throw new SandlotError("not_found", `there is no sandbox ${id} to view`, { field: "views" });
    return { record, places: placesOf(this.#ground.stateDir, id, record.disk) };
  }

  #record(id: string): Promise<SandboxRecord | undefined> {
    return readRecord(placesOf(this.#ground.stateDir, id, "folder").record);
  }

  #groupOf(first: Identity, id: string): ProcessGroup | undefined {
    const { rootless, cgroups } = this.#ground;
    if (rootless) return new ProcessTree(first);
    return cgroups && Cgroup.of(cgroups, first.pid, id);
  }

  /** Where it would be, if anything of it is left. */
  #groupLeft(first: Identity | undefined, id: string): ProcessGroup | undefined {
    const { rootless, cgroups, instance } = this.#ground;
    if (rootless) return first && new ProcessTree(first);
    return cgroups && Cgroup.at(cgroups, cgroupPath(instance, id));
  }

  /** A layer is kept for long: unlike a sandbox it must outlive a power cut. */
  async #sync(folder: string): Promise<void> {
    await this.#ground.launcher.run({ argv: ["sync", "-f", folder], open: [], timeoutMs: 300_000 });
  }
}

function enforcedBy({ cgroups, rootless }: Ground, disk: Disk): Enforced {
  if (rootless) return { memoryMiB: "WATCHED", cpuMilli: "NONE", pids: "HARD", diskMiB: "WATCHED" };
  const has = (controller: string): "HARD" | "NONE" =>
    cgroups?.controllers.has(controller) === true ? "HARD" : "NONE";
  return {
    memoryMiB: has("memory"),
    cpuMilli: has("cpu"),
    pids: has("pids"),
    diskMiB: disk === "image" ? "HARD" : "WATCHED",
  };
}

function lackedBy({ cgroups, attaches, rootless, softDisk }: Ground): Lacks {
  const always = {
    ...(softDisk !== undefined && { hardDiskLimit: softDisk }),
    ...(!attaches && { attach: "this host forbids the calls by which a mount is added to a sandbox that runs" }),
  };
  if (rootless) return { ...always, ...ROOTLESS_LACKS };
  const missing = (controller: string): string | undefined =>
    cgroups?.controllers.has(controller) === true
      ? undefined
      : `this host has no ${controller} controller of control groups to use`;
  const [memory, cpu, pids] = [missing("memory"), missing("cpu"), missing("pids")];
  return {
    ...always,
    ...(memory !== undefined && { memoryLimit: memory, oomCount: memory }),
    ...(cpu !== undefined && { cpuLimit: cpu }),
    ...(pids !== undefined && { pidsLimit: pids }),
  };
}

/** The first process by the runtime's note, if that is one of a sandbox still. */
function startedAs(note: string): Identity | undefined {
  try {
    const pid = Number(readFileSync(note, "utf8"));
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim() === "init" ? identify(pid) : undefined;
  } catch {
    return undefined; // none was started, or it is dead
  }
}
