import { randomBytes, randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import type { Container } from "dockerode";
import { SandlotError } from "../../errors.ts";
import type { Lacks } from "../abilities.ts";
import { unpackLayer } from "../archive/unpack.ts";
import { Cgroup, type Cgroups } from "../cgroup.ts";
import type { BareBackend } from "../guarded.ts";
import { type Identity, identify, lives } from "../identity.ts";
import { secretBytes } from "../runner/byte-stream.ts";
import { RunnerClient, RunnerGone } from "../runner/client.ts";
import type { Dial } from "../runner/line.ts";
import type { Bind, Capabilities, Enforced, SandboxSpec, View } from "../sandbox.ts";
import { Turns } from "../turns.ts";
import { Turnstile } from "../turnstile.ts";
import { containerOptions, LABEL, type Ulimit } from "./container.ts";
import { containerDial } from "./dial.ts";
import { DiskWatch } from "./disk-watch.ts";
import { DockerSandbox } from "./docker-sandbox.ts";
import { type Engine, readable, statusOf } from "./engine.ts";
import type { EngineImages } from "./images.ts";
import { goOn } from "./pausing.ts";
import { type DockerRecord, readRecord, writeRecord } from "./record.ts";
import { HASTY, Remains } from "./remains.ts";
import { commit, type Ground, newId, RootfsImages } from "./rootfs.ts";
import { copyRunner } from "./runner-copy.ts";
import { copyView } from "./view.ts";

/** What is the same for every sandbox of a backend. */
export interface Site {
  readonly engine: Engine;
  readonly images: EngineImages;
  readonly stateDir: string;
  readonly instance: string;
  readonly runnerPath: string;
  /** Whether the engine sees this host's files and its processes are seen from here. */
  readonly local: boolean;
  readonly rootfs: Pick<ConstructorParameters<typeof RootfsImages>[0], "hostRootfs" | "hostImage">;
  readonly hide: readonly string[];
  readonly runtime: string;
  readonly cgroups: Cgroups | undefined;
  readonly ulimits: readonly Ulimit[];
  readonly enforced: Enforced;
  readonly lacks: Lacks;
}

/** Sandboxes that are containers of an engine. Made by `openDocker`. */
export class DockerBackend implements BareBackend {
  readonly name = "docker";
  readonly capabilities: Capabilities = { isolation: true, snapshot: false, network: true, images: true };
  readonly enforced: Enforced;
  readonly lacks: Lacks;
  readonly images: EngineImages;
  readonly #site: Site;
  readonly #rootfs: RootfsImages;
  readonly #watch: DiskWatch | undefined;
  readonly #creates = new Turnstile(Math.max(4, 2 * availableParallelism()));
  readonly #remains: Remains;
  /** Each holds two connections, of which there are so many. */
  readonly #views = new Turnstile(8);
  readonly #open = new Map<string, DockerSandbox>();
  readonly #turns = new Turns();

  constructor(site: Site) {
    this.#site = site;
    this.images = site.images;
    this.enforced = site.enforced;
    this.lacks = site.lacks;
    this.#watch = site.enforced.diskMiB === "WATCHED" ? new DiskWatch() : undefined;
    const { engine, images, instance } = site;
    this.#remains = new Remains(engine, (id) => this.#folder(id));
    this.#rootfs = new RootfsImages({
      ...{ engine, images, instance, ...site.rootfs },
      removeIn: (ground, { paths, changes }) => this.#removeIn(ground, paths, changes),
    });
  }

  create(spec: SandboxSpec, signal?: AbortSignal): Promise<DockerSandbox> {
    return this.#turns.take(spec.id, async () => {
      if (this.#open.has(spec.id) || existsSync(this.#folder(spec.id))) {
        throw new SandlotError("invalid", `the sandbox ${spec.id} exists already`, { field: "id" });
      }
      await Promise.all(spec.views.map(({ of }) => this.#container(of)));
      const ground = await this.#rootfs.of(spec.rootfs, spec.layers);
      return await this.#orNothing(spec.id, async () => {
        const sandbox = await this.#creates.pass(() => this.#make(spec, ground, signal));
        for (const view of spec.views) await this.#show(sandbox, view);
        signal?.throwIfAborted();
        return sandbox;
      });
    });
  }

  async attach(id: string, view: View): Promise<void> {
    await Promise.all([this.#container(id), this.#container(view.of)]);
    const sandbox = this.#open.get(id);
    if (sandbox === undefined) throw new SandlotError("not_found", `the sandbox ${id} is not open`, { field: "id" });
    await this.#show(sandbox, view);
  }

  reopen(id: string): Promise<DockerSandbox | undefined> {
    return this.#turns.take(id, async () => {
      const known = this.#open.get(id);
      if (known !== undefined) return (await known.alive()) ? known : undefined;
      const record = await readRecord(this.#recordPath(id));
      if (record === undefined) return undefined;
      const { engine } = this.#site;
      const container = engine.docker.getContainer(id);
      // Paused by a server that was killed.
      await goOn(engine, container);
      try {
        return await this.#adopt(record, container);
      } catch (error) {
        if (error instanceof RunnerGone) return undefined;
        throw error;
      }
    });
  }

  async list(): Promise<readonly string[]> {
    const { engine, instance, stateDir } = this.#site;
    const filters = { label: [`${LABEL.instance}=${instance}`] };
    const found = await engine.read("list its containers", () => engine.docker.listContainers({ all: true, filters }));
    const names = found.flatMap(({ Names }) => Names.map((name) => name.replace(/^\//, "")));
    const folders = await readdir(join(stateDir, "sandboxes")).catch(() => []);
    return [...new Set([...names, ...folders])].filter((id) => id.startsWith(`sandlot-${instance}-`));
  }

  async remove(id: string): Promise<void> {
    await this.#open.get(id)?.dispose();
    await this.#turns.take(id, () => this.#remains.remove(id));
  }

  async buildLayer(spec: SandboxSpec, target: string, work: (sandbox: DockerSandbox) => Promise<void>): Promise<void> {
    if (existsSync(target)) throw new SandlotError("invalid", `the layer's folder exists already: ${target}`);
    const sandbox = await this.create(spec);
    try {
      await work(sandbox);
      if (!(await sandbox.alive())) {
        throw new SandlotError("task", sandbox.endedByItself() ?? "the sandbox ended while the layer was built");
      }
      await sandbox.freeze();
      await this.#keep(spec, target);
    } finally {
      await sandbox.dispose();
    }
  }

  async close(): Promise<void> {
    await this.#turns.settled();
    await Promise.all([...this.#open.values()].map((sandbox) => sandbox.detach()));
    this.#open.clear();
    this.#site.engine.close();
  }

  /** Removes images of layers that are no more, and containers that could not be removed when it was their time. */
  async sweep(): Promise<void> {
    await this.#remains.sweep();
    await this.#rootfs.sweep();
  }

  async #make(spec: SandboxSpec, ground: Ground, signal: AbortSignal | undefined): Promise<DockerSandbox> {
    const { engine, instance, runnerPath, local, runtime, enforced, ulimits } = this.#site;
    signal?.throwIfAborted();
    const record: DockerRecord = { version: 1, spec, secret: randomBytes(secretBytes).toString("hex") };
    writeRecord(this.#recordPath(spec.id), record);
    const options = containerOptions({
      ...{ spec, instance, runtime, ulimits, image: ground.image, binds: ground.binds },
      masked: this.#masked(ground.binds, spec.binds),
      runnerPath: local ? runnerPath : undefined,
      diskQuota: enforced.diskMiB === "HARD",
      cpus: enforced.cpuMilli === "HARD",
    });
    const container = await engine.act("create a container", () => engine.docker.createContainer(options));
    if (container === undefined) throw new Error("a container was expected");
    if (!local) await copyRunner(engine, container, runnerPath);
    signal?.throwIfAborted();
    await engine
      .act("start a container", () => container.start())
      .catch((error: unknown) => {
        throw unknownUser(error, spec.user ?? "") ?? error;
      });
    signal?.throwIfAborted();
    return await this.#adopt(record, container);
  }

  async #adopt({ spec, secret }: DockerRecord, container: Container): Promise<DockerSandbox> {
    const { engine, enforced } = this.#site;
    let cut: (() => void) | undefined;
    const attached = containerDial(engine, container, Buffer.from(secret, "hex"));
    const dial: Dial = async () => {
      const line = await attached();
      line.stream.once("close", () => cut?.());
      return line;
    };
    const [client, { identity, cgroup }] = await Promise.all([
      RunnerClient.connect(dial),
      this.#seenFromHere(container),
    ]);
    const sandbox = new DockerSandbox({
      ...{ spec, enforced, engine, container, client, identity, cgroup },
      watch: this.#watch,
      remove: async () => {
        await this.#remains.remove(spec.id);
        this.#open.delete(spec.id);
      },
    });
    cut = () => sandbox.lookAtEnd();
    this.#open.set(spec.id, sandbox);
    return sandbox;
  }

  /** Nothing where the engine is elsewhere, or the kernel that runs its processes is. */
  async #seenFromHere(
    container: Container,
  ): Promise<{ readonly identity: Identity | undefined; readonly cgroup: Cgroup | undefined }> {
    const { engine, local, cgroups, runtime } = this.#site;
    if (!local) return { identity: undefined, cgroup: undefined };
    const { Id, State } = await engine.read("look at a container", () => container.inspect());
    const identity = State.Running ? identify(State.Pid) : undefined;
    const line = identity && cgroupLine(State.Pid, Id);
    if (identity === undefined || line === undefined || !lives(identity))
      return { identity: undefined, cgroup: undefined };
    const isOwnKernel = runtime.startsWith("runsc");
    const cgroup = cgroups === undefined || isOwnKernel ? undefined : Cgroup.of(cgroups, State.Pid, basename(line));
    return { identity, cgroup };
  }

  async #show(sandbox: DockerSandbox, { of, at, within }: View): Promise<void> {
    const { engine } = this.#site;
    const record = await readRecord(this.#recordPath(of));
    const viewing = {
      engine,
      ...{ of: engine.docker.getContainer(of), in: engine.docker.getContainer(sandbox.id), at, within },
      maxBytes: VIEW_BYTES + 2 * (record?.spec.limits.diskMiB ?? 0) * 1_048_576,
      remove: async (path: string) => {
        await sandbox.exec(["rm", "-rf", "--", path], { callId: `remove-${randomUUID()}`, timeoutMs: 300_000 });
      },
    };
    await this.#views.pass(() => copyView(viewing));
  }

  /** What the builder wrote, less the places of what was bound. */
  async #keep(spec: SandboxSpec, target: string): Promise<void> {
    const { engine } = this.#site;
    const container = engine.docker.getContainer(spec.id);
    const found = await engine.read("list what a container changed", () => container.changes());
    const all = (found ?? []) as readonly { readonly Path: string; readonly Kind: 0 | 1 | 2 }[]; // as the API has it
    const points = mountPoints(
      [
        ...spec.binds.map((bind) => bind.target),
        ...(await this.#rootfs.of(spec.rootfs, [])).binds.map((bind) => bind.target),
      ],
      all,
    );
    const changes = all.filter(({ Path }) => !points.has(Path));
    const stream = await engine.act("read the files of a container", () => container.export());
    if (stream === undefined) throw new Error("an archive was expected");
    const paths = (removed: boolean) => changes.filter(({ Kind }) => (Kind === 2) === removed).map(({ Path }) => Path);
    const tar = readable(stream);
    try {
      await unpackLayer(
        target,
        { tar, changed: paths(false), removed: paths(true) },
        AbortSignal.timeout(engine.waits.filesMs),
      );
    } finally {
      tar.destroy();
    }
  }

  async #removeIn(ground: Ground, paths: readonly string[], changes: readonly string[]): Promise<string> {
    const { engine, instance } = this.#site;
    const id = newId(instance);
    const sandbox = await this.#orNothing(id, () => this.#make(builderSpec(id), ground, undefined));
    try {
      for (let at = 0; at < paths.length; at += 500) {
        const argv = ["rm", "-rf", "--", ...paths.slice(at, at + 500).map((path) => `/${path}`)];
        const { exitCode } = await sandbox.exec(argv, { callId: `remove-${at}`, timeoutMs: KEEP_MS });
        if (exitCode !== 0)
          throw new SandlotError("task", `a layer's deletions need rm in the image: exit code ${exitCode}`);
      }
      await sandbox.freeze();
      return await commit(engine, engine.docker.getContainer(id), { changes });
    } finally {
      await sandbox.dispose();
    }
  }

  /** What a create that fails has made is removed, now or, where the engine stumbles over that too, later; what it failed of is told. */
  async #orNothing<T>(id: string, make: () => Promise<T>): Promise<T> {
    try {
      return await make();
    } catch (error) {
      await this.#remains.remove(id, HASTY).catch(() => undefined);
      this.#remains.mayAppear(id);
      this.#open.delete(id);
      throw error;
    }
  }

  /** Fault `not_found` where there is none. */
  async #container(id: string): Promise<Container> {
    const { engine } = this.#site;
    const container = engine.docker.getContainer(id);
    try {
      await engine.read("look at a container", () => container.inspect());
      return container;
    } catch (error) {
      if (statusOf(error) === 404) throw new SandlotError("not_found", `there is no sandbox ${id}`, { field: "views" });
      throw error;
    }
  }

  /** Where what is hidden would show inside through a folder that is bound from the host, unless it is what a spec itself binds. */
  #masked(host: readonly Bind[], own: readonly Bind[]): string[] {
    const shows = (hidden: string) => (bind: Bind) =>
      hidden.startsWith(`${bind.source}/`) || (hidden === bind.source && !own.includes(bind));
    return this.#site.hide.flatMap((hidden) =>
      [...host, ...own].filter(shows(hidden)).map(({ source, target }) => `${target}${hidden.slice(source.length)}`),
    );
  }

  #folder(id: string): string {
    return join(this.#site.stateDir, "sandboxes", id);
  }

  #recordPath(id: string): string {
    return join(this.#folder(id), "sandbox.json");
  }
}

/** Of files that an image brings with it: a view has them too. */
const VIEW_BYTES = 16 * 2 ** 30;
const KEEP_MS = 1_800_000;

/** What engines say of a user that the root file system does not have. */
function unknownUser(error: unknown, user: string): SandlotError | undefined {
  const said =
    error instanceof Error ? /unable to find (user|group)|uids and gids must be in range/.exec(error.message) : null;
  if (said === null) return undefined;
  const words = `user: the root file system has no ${said[1] ?? "user"} as in ${JSON.stringify(user)}`;
  return new SandlotError("task", words, { field: "user", cause: error });
}

function builderSpec(id: string): SandboxSpec {
  return {
    ...{ id, rootfs: { type: "host" }, layers: [], binds: [], views: [], workdir: "/", user: "0:0", network: "none" },
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
    limits: { memoryMiB: 1_024, cpuMilli: 2_000, pids: 64, diskMiB: 32_768 },
  };
}

/** The control group that belongs to that container: the engines name it after its id. */
function cgroupLine(pid: number, containerId: string): string | undefined {
  const lines = readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().split("\n");
  return lines.find((line) => line.includes(containerId));
}

/** Places that the runtime made for mounts, with the folders on the way to them in which nothing else changed. */
function mountPoints(targets: readonly string[], changes: readonly { readonly Path: string }[]): ReadonlySet<string> {
  const points = new Set(targets);
  const deepestFirst = changes.map(({ Path }) => Path).toSorted((a, b) => b.length - a.length);
  for (const path of deepestFirst) {
    if (!targets.some((target) => target.startsWith(`${path}/`))) continue;
    const inside = changes.filter((change) => change.Path.startsWith(`${path}/`));
    if (inside.every((change) => points.has(change.Path))) points.add(path);
  }
  return points;
}
