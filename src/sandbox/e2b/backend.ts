import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { isFault, SandlotError } from "../../errors.ts";
import type { Lacks } from "../abilities.ts";
import { unpackUpper } from "../archive/unpack.ts";
import type { BareBackend } from "../guarded.ts";
import { RunnerGone } from "../runner/client.ts";
import type { Capabilities, Enforced, Image, Images, ImageWatch, SandboxSpec, View } from "../sandbox.ts";
import { type Account, ID, type Lent } from "./account.ts";
import { FREEZE, PACK, PLACE } from "./boot.ts";
import { isPassing, ServiceError } from "./control.ts";
import { boot, meet } from "./create.ts";
import { E2bSandbox } from "./e2b-sandbox.ts";
import { EnvdError } from "./envd.ts";
import type { Gate } from "./gate.ts";
import type { End } from "./line.ts";
import { Machine } from "./machine.ts";
import { Prepared } from "./prepared.ts";
import {
  type E2bRecord,
  folderOf,
  isStarted,
  readRecord,
  recordOf,
  type StartedRecord,
  writeRecord,
} from "./record.ts";
import { Remains } from "./remains.ts";
import type { Origin, Templates } from "./templates.ts";

export interface Ground {
  readonly stateDir: string;
  readonly instance: string;
  readonly runnerPath: string;
  /** The image that stands for this host's own system folders; empty: none. */
  readonly hostImage: string;
  /** How long a machine lives on when nobody renews it. */
  readonly lifeS: number;
  readonly account: Account;
  readonly gate: Gate;
  readonly templates: Templates;
  readonly enforced: Enforced;
  /** US dollars for a second of a machine. */
  readonly pricePerS: number;
}

/** Sandboxes in machines of E2B, or of a service that speaks like it. Made by `openE2b`. */
export class E2bBackend implements BareBackend {
  readonly name = "e2b";
  readonly capabilities: Capabilities = { isolation: true, snapshot: false, network: true, images: true };
  readonly lacks: Lacks;
  readonly enforced: Enforced;
  readonly images: Images;
  readonly #ground: Ground;
  readonly #prepared: Prepared;
  readonly #open = new Map<string, E2bSandbox>();
  readonly #making = new Map<string, Promise<E2bSandbox>>();
  readonly #remains: Remains;
  readonly #renewing: NodeJS.Timeout;
  readonly #ending: NodeJS.Timeout;

  constructor(ground: Ground) {
    const { account, instance, runnerPath, stateDir, templates } = ground;
    this.#ground = ground;
    this.#remains = new Remains(ground);
    this.enforced = ground.enforced;
    this.lacks = lackedBy(ground.enforced);
    this.images = {
      resolve: async (ref: string, watch: ImageWatch): Promise<Image> => {
        const origin = await templates.of(ref, watch);
        return { digest: templates.digestOf(ref, origin), env: {}, workdir: "", user: "" };
      },
    };
    this.#prepared = new Prepared({
      ...{ account, instance, runnerPath, file: join(stateDir, "e2b-snapshots.json") },
      withMachine: (origin, work) => this.#withMachine(origin, work),
    });
    this.#renewing = setInterval(() => void this.#renewAll(), (ground.lifeS * 1_000) / 3).unref();
    this.#ending = setInterval(() => {
      void this.#remains.sweep((id) => this.#endAgain(id));
    }, account.control.waits.strayMs).unref();
  }

  /** Snapshots of environments that are gone from this host. */
  sweep(): Promise<void> {
    return this.#prepared.sweep();
  }

  /** Ends machines in which an earlier server was preparing an environment. Before the first create. */
  async endStrays(): Promise<void> {
    const { account, instance } = this.#ground;
    const ours = await account.find({ [INSTANCE]: instance });
    for (const { sandboxId, metadata } of ours) if (metadata[PREPARES] !== undefined) await account.kill(sandboxId);
  }

  create(spec: SandboxSpec, signal?: AbortSignal): Promise<E2bSandbox> {
    return this.#create(spec, "on", signal);
  }

  async #create(spec: SandboxSpec, renames: "on" | "off", signal?: AbortSignal): Promise<E2bSandbox> {
    if (this.#making.has(spec.id) || existsSync(folderOf(this.#ground.stateDir, spec.id))) {
      throw new SandlotError("invalid", `the sandbox ${spec.id} exists already`, { field: "id" });
    }
    if (spec.user !== undefined && !ROOT_USERS.test(spec.user)) {
      throw new SandlotError("unsupported", `commands run as root on the e2b backend, not as ${spec.user}`, {
        field: "user",
      });
    }
    const making = this.#make(spec, renames, signal);
    this.#making.set(spec.id, making);
    try {
      return await making;
    } catch (error) {
      await this.#remains.isRemoved(spec.id);
      throw error;
    } finally {
      this.#making.delete(spec.id);
    }
  }

  async reopen(id: string): Promise<E2bSandbox | undefined> {
    const known = this.#open.get(id);
    if (known !== undefined) return (await known.alive()) ? known : undefined;
    const record = readRecord(this.#recordPath(id));
    if (!isStarted(record)) return undefined;
    const { account, lifeS, gate } = this.#ground;
    if (!(await account.renew(record.lent.sandboxId, lifeS))) return undefined;
    const machine = new Machine(record.lent, account);
    const release = gate.hold();
    try {
      await machine.run(FREEZE, "0", String(record.runner.pid)); // frozen by a server that was killed
      return await this.#adopt(record, machine, release);
    } catch (error) {
      release();
      if (error instanceof RunnerGone) return undefined;
      throw error;
    }
  }

  async list(): Promise<readonly string[]> {
    const { account, instance, stateDir } = this.#ground;
    const folders = await readdir(join(stateDir, "sandboxes")).catch(() => []);
    const ours = folders.filter((id) => readRecord(this.#recordPath(id)) !== undefined);
    const lent = (await account.find({ [INSTANCE]: instance })).map(({ metadata }) => metadata[ID] ?? "");
    return [...new Set([...ours, ...lent])].filter((id) => id.startsWith(`sandlot-${instance}-`));
  }

  async remove(id: string): Promise<void> {
    await this.#making.get(id)?.catch(() => undefined);
    await this.#open.get(id)?.dispose();
    await this.#remains.remove(id);
  }

  async buildLayer(spec: SandboxSpec, target: string, work: (sandbox: E2bSandbox) => Promise<void>): Promise<void> {
    if (existsSync(target)) throw new SandlotError("invalid", `the layer's folder exists already: ${target}`);
    const sandbox = await this.#create(spec, "off");
    try {
      await work(sandbox);
      if (!(await sandbox.alive())) {
        throw new SandlotError("task", sandbox.endedByItself() ?? "the sandbox ended while the layer was built");
      }
      await sandbox.freeze(); // for good: its machine ends below
      const bytes = await sandbox.machine.measure(PACK, CHANGES, "/");
      await unpackUpper(target, sandbox.machine.download(CHANGES, bytes), AbortSignal.timeout(TRANSFER_MS));
    } finally {
      await sandbox.dispose();
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#renewing);
    clearInterval(this.#ending);
    await Promise.allSettled(this.#making.values());
    await Promise.all([...this.#open.values()].map((sandbox) => sandbox.detach()));
    this.#open.clear();
  }

  async #make(spec: SandboxSpec, renames: "on" | "off", signal: AbortSignal | undefined): Promise<E2bSandbox> {
    const until = performance.now() + this.#ground.account.control.waits.patienceMs;
    for (let attempt = 1; ; attempt++) {
      const origins = await this.#originsOf(spec, signal);
      const release = await this.#ground.gate.enter(signal);
      try {
        return await this.#begin(spec, { ...origins, renames, release, signal });
      } catch (error) {
        // A machine of which it is not known how far it came.
        const cleared = await this.#remains.isRemoved(spec.id);
        release();
        signal?.throwIfAborted();
        if (!cleared || attempt === ATTEMPTS || performance.now() > until || !isPassingHere(error)) throw error;
      }
    }
  }

  async #originsOf(
    spec: SandboxSpec,
    signal: AbortSignal | undefined,
    isLast = false,
  ): Promise<{ readonly origin: Origin; readonly prepared: Origin | undefined }> {
    const watch = { signal: signal ?? new AbortController().signal, report: () => undefined };
    const origin = await this.#ground.templates.of(this.#imageOf(spec), watch);
    signal?.throwIfAborted();
    try {
      const prepared = await this.#prepared.originOf(origin, spec);
      signal?.throwIfAborted();
      return { origin, prepared };
    } catch (error) {
      if (isLast || !isMissing(error)) throw error;
      this.#ground.templates.forget(this.#imageOf(spec)); // the service lost it
      return this.#originsOf(spec, signal, true);
    }
  }

  async #begin(spec: SandboxSpec, { origin, prepared, renames, release, signal }: Beginning): Promise<E2bSandbox> {
    const record: E2bRecord = { version: 1, type: "e2b", spec, startedAt: Date.now() };
    writeRecord(this.#recordPath(spec.id), record);
    const lent = await this.#lend(prepared ?? origin, spec, signal);
    writeRecord(this.#recordPath(spec.id), { ...record, lent });
    signal?.throwIfAborted();
    const machine = new Machine(lent, this.#ground.account);
    if (prepared === undefined) await this.#prepared.furnish(machine, spec);
    for (const [at, view] of spec.views.entries()) await this.#show(view, machine, at);
    signal?.throwIfAborted();
    const started: StartedRecord = { ...record, lent, runner: await boot(machine, spec, renames) };
    writeRecord(this.#recordPath(spec.id), started);
    const sandbox = await this.#adopt(started, machine, release);
    if (signal?.aborted !== true) return sandbox;
    await sandbox.dispose();
    throw signal.reason;
  }

  async #lend(origin: Origin, spec: SandboxSpec, signal: AbortSignal | undefined): Promise<Lent> {
    const { id, network } = spec;
    const { account, instance, lifeS } = this.#ground;
    const metadata = { ...origin.metadata, [INSTANCE]: instance, [ID]: id };
    try {
      return await account.create(
        { templateId: origin.templateId, metadata, lifeS, internet: network === "host" },
        signal,
      );
    } catch (error) {
      if (isMissing(error)) {
        await this.#prepared.forget(origin);
        this.#ground.templates.forget(this.#imageOf(spec));
      }
      throw error;
    }
  }

  /** Copies what a sandbox changed to where the boot of another looks for it. */
  async #show(view: View, machine: Machine, at: number): Promise<void> {
    const record = readRecord(this.#recordPath(view.of));
    if (record?.lent === undefined) {
      throw new SandlotError("not_found", `there is no sandbox ${view.of} to view`, { field: "views" });
    }
    const viewed = new Machine(record.lent, this.#ground.account);
    const bytes = await viewed.measure(PACK, CHANGES, view.within ?? "/");
    await machine.upload(`${PLACE}/view${at}.tar`, () => viewed.download(CHANGES, bytes));
  }

  async #adopt(record: StartedRecord, machine: Machine, release: () => void): Promise<E2bSandbox> {
    const end: End = {};
    const client = await meet(machine, record.runner, end);
    const sandbox = new E2bSandbox({
      ...{ record, machine, client, end, pricePerS: this.#ground.pricePerS },
      remove: async () => {
        const { id } = record.spec;
        await this.#remains.remove(id);
        this.#open.delete(id);
        release();
      },
    });
    this.#open.set(record.spec.id, sandbox);
    return sandbox;
  }

  /** A machine that is no sandbox of anybody, for the time of `work`. */
  async #withMachine<T>(origin: Origin, work: (machine: Machine) => Promise<T>): Promise<T> {
    const { account, gate, instance, lifeS } = this.#ground;
    const release = await gate.enter();
    const id = `${PREPARES}-${randomBytes(16).toString("hex")}`;
    const lost: string[] = [];
    try {
      const metadata = { ...origin.metadata, [INSTANCE]: instance, [PREPARES]: origin.templateId, [ID]: id };
      const lent = await account.create({ templateId: origin.templateId, metadata, lifeS, internet: false });
      lost.push(lent.sandboxId);
      const startedAt = Date.now();
      return await work(new Machine(lent, account)).finally(() => this.#remains.reckon(id, lent, startedAt));
    } finally {
      if (account.isUncertain(id)) lost.push(...(await this.#bearing(id)));
      for (const one of new Set(lost)) await this.#remains.kill(one);
      release();
    }
  }

  async #bearing(id: string): Promise<readonly string[]> {
    const found = await this.#ground.account.find({ [ID]: id }).catch(() => []); // the next start looks for it
    return found.map(({ sandboxId }) => sandboxId);
  }

  /** Undefined for what is not open. */
  #endAgain(id: string): Promise<unknown> | undefined {
    return this.#making.has(id) ? Promise.resolve() : this.#open.get(id)?.dispose();
  }

  async #renewAll(): Promise<void> {
    const { account, lifeS } = this.#ground;
    for (const [id, sandbox] of this.#open) {
      if (this.#remains.isStuck(id)) continue;
      await account.renew(sandbox.machine.lent.sandboxId, lifeS).catch(() => undefined); // again in a third of its life
    }
  }

  #imageOf({ rootfs }: SandboxSpec): string {
    if (rootfs.type === "image") return rootfs.ref;
    if (rootfs.type === "host" && this.#ground.hostImage !== "") return this.#ground.hostImage;
    const words =
      rootfs.type === "host"
        ? "this host's own system folders are not there on the e2b backend: name an image that stands for them"
        : "the e2b backend has root file systems from images only";
    throw new SandlotError("unsupported", words, { knob: "backend.host_image" });
  }

  #recordPath(id: string): string {
    return recordOf(this.#ground.stateDir, id);
  }
}

function lackedBy({ memoryMiB, cpuMilli, pids, diskMiB }: Enforced): Lacks {
  const group = "the machine has no control group for it, or none was tried out for want of backend.host_image";
  return {
    directories: "root file systems are images, which the service keeps",
    hostNetwork: "a sandbox has the network of its machine at the service, never that of this host",
    attach: "what a sandbox is shown has to be in its machine before it begins",
    ...(memoryMiB === "NONE" && { memoryLimit: group, oomCount: group }),
    ...(cpuMilli === "NONE" && { cpuLimit: group }),
    ...(pids === "NONE" && { pidsLimit: group }),
    ...(diskMiB === "NONE" && { diskLimit: UNTRIED, hardDiskLimit: UNTRIED }),
  };
}

/** What a beginning goes on with once it has a place. */
interface Beginning {
  readonly origin: Origin;
  readonly prepared: Origin | undefined;
  readonly renames: "on" | "off";
  readonly release: () => void;
  readonly signal: AbortSignal | undefined;
}

const UNTRIED = "no sandbox was tried out for want of backend.host_image";
const ATTEMPTS = 3;
const ROOT_USERS = /^((root|0)(:(root|0))?)?$/;

/** What another machine may be spared; a refusal of the service, or of what was asked for, is not. What it was made from may be gone: then it is looked for anew. */
function isPassingHere(error: unknown): boolean {
  if (error instanceof ServiceError) return isPassing(error) || isMissing(error);
  return error instanceof EnvdError || error instanceof RunnerGone || isFault(error, "sandbox");
}

function isMissing(error: unknown): boolean {
  return error instanceof ServiceError && (error.status === 404 || error.status === 410);
}

/** Names of metadata. */
const INSTANCE = "sandlot";
const PREPARES = "sandlot_prepares";
const CHANGES = `${PLACE}/changes.tar`;
const TRANSFER_MS = 1_800_000;
