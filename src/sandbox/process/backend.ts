import { type ChildProcess, execFile, spawn } from "node:child_process";
import { closeSync, constants, existsSync, openSync } from "node:fs";
import { access, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { SandlotError } from "../../errors.ts";
import type { Lacks } from "../abilities.ts";
import type { BareBackend } from "../guarded.ts";
import { identify, lives, signal, waitUntilDead } from "../identity.ts";
import type { CommonOptions } from "../options.ts";
import { readRecord, type SandboxRecord, writeRecord } from "../record.ts";
import { RunnerClient, RunnerGone } from "../runner/client.ts";
import { socketDial } from "../runner/socket.ts";
import type { Capabilities, Enforced, SandboxSpec } from "../sandbox.ts";
import { killTree } from "../tree.ts";
import { Paths } from "./paths.ts";
import { ProcessSandbox } from "./process-sandbox.ts";

export interface ProcessOptions extends CommonOptions {
  readonly type: "process";
}

const run = promisify(execFile);

/** Opens the backend without isolation: commands run as this user on this host, in a copy of the environment's files. For debugging only. */
export async function openProcess(options: ProcessOptions): Promise<ProcessBackend> {
  await access(options.runnerPath, constants.X_OK).catch((cause: unknown) => {
    throw new SandlotError("unsupported", `the runner is not built: ${options.runnerPath} (run scripts/setup)`, {
      cause,
    });
  });
  await mkdir(join(options.stateDir, "sandboxes"), { recursive: true, mode: 0o700 });
  return new ProcessBackend(options);
}

export class ProcessBackend implements BareBackend {
  readonly name = "process";
  readonly capabilities: Capabilities = { isolation: false, snapshot: false, network: true, images: false };
  readonly lacks = LACKS;
  readonly enforced: Enforced = { memoryMiB: "NONE", cpuMilli: "NONE", pids: "NONE", diskMiB: "NONE" };
  readonly #options: ProcessOptions;
  readonly #open = new Map<string, ProcessSandbox>();
  readonly #making = new Map<string, Promise<ProcessSandbox>>();

  constructor(options: ProcessOptions) {
    this.#options = options;
  }

  async create(spec: SandboxSpec, signal?: AbortSignal): Promise<ProcessSandbox> {
    if (existsSync(this.#folder(spec.id))) {
      throw new SandlotError("invalid", `the sandbox ${spec.id} exists already`, { field: "id" });
    }
    if (spec.rootfs.type !== "host") {
      throw new SandlotError(
        "unsupported",
        "the process backend has no root file system of its own: use the oci backend",
      );
    }
    const making = this.#make(spec, signal);
    this.#making.set(spec.id, making);
    try {
      return await making;
    } catch (error) {
      await this.#removeRemains(spec.id);
      throw error;
    } finally {
      this.#making.delete(spec.id);
    }
  }

  async reopen(id: string): Promise<ProcessSandbox | undefined> {
    const known = this.#open.get(id);
    if (known !== undefined) return (await known.alive()) ? known : undefined;
    const record = await readRecord(this.#recordPath(id));
    if (record?.identity === undefined || !lives(record.identity)) return undefined;
    signal(record.identity, "SIGCONT");
    try {
      return await this.#adopt(record);
    } catch (error) {
      if (error instanceof RunnerGone) return undefined;
      throw error;
    }
  }

  async list(): Promise<readonly string[]> {
    const folders = await readdir(join(this.#options.stateDir, "sandboxes")).catch(() => []);
    return folders.filter((id) => id.startsWith(`sandlot-${this.#options.instance}-`));
  }

  async remove(id: string): Promise<void> {
    await this.#making.get(id)?.catch(() => undefined);
    await this.#open.get(id)?.dispose();
    await this.#removeRemains(id);
  }

  async buildLayer(spec: SandboxSpec, target: string, work: (sandbox: ProcessSandbox) => Promise<void>): Promise<void> {
    if (existsSync(target)) throw new SandlotError("invalid", `the layer's folder exists already: ${target}`);
    const sandbox = await this.create(spec);
    try {
      await work(sandbox);
      await sandbox.stop();
      const root = join(this.#folder(spec.id), "root");
      await writeFile(join(root, WHOLE), "");
      await mkdir(dirname(target), { recursive: true });
      await rename(root, target);
    } finally {
      await sandbox.dispose();
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#making.values());
    await Promise.all([...this.#open.values()].map((sandbox) => sandbox.detach()));
    this.#open.clear();
  }

  async #make(spec: SandboxSpec, signal: AbortSignal | undefined): Promise<ProcessSandbox> {
    const folder = this.#folder(spec.id);
    const root = join(folder, "root");
    for (const name of ["control", "root/tmp", "root/root"]) {
      await mkdir(join(folder, name), { recursive: true, mode: 0o700 });
    }
    const record: SandboxRecord = { version: 1, spec, lower: spec.layers, disk: "folder" };
    writeRecord(this.#recordPath(spec.id), record);
    // A layer that this backend built holds all that lay below it.
    const first = spec.layers.findLastIndex((layer) => existsSync(join(layer, WHOLE)));
    for (const layer of spec.layers.slice(Math.max(0, first))) {
      signal?.throwIfAborted();
      await run("cp", ["-a", "--reflink=auto", "--", `${layer}/.`, root]);
    }
    await rm(join(root, WHOLE), { force: true });
    signal?.throwIfAborted();
    const identity = identify(await start(this.#options.runnerPath, folder));
    if (identity === undefined) throw new SandlotError("sandbox", "the runner ended at once");
    const started = { ...record, identity };
    writeRecord(this.#recordPath(spec.id), started);
    const sandbox = await this.#adopt(started);
    if (signal?.aborted !== true) return sandbox;
    await sandbox.dispose();
    throw signal.reason;
  }

  async #adopt(record: SandboxRecord): Promise<ProcessSandbox> {
    const { spec, identity } = record;
    if (identity === undefined) throw new Error("a sandbox without a process cannot be opened");
    const root = join(this.#folder(spec.id), "root");
    const elsewhere = [
      ...spec.binds.map((bind) => ({ inside: bind.target, outside: bind.source })),
      ...spec.views.map((view) => ({ inside: view.at, outside: join(this.#folder(view.of), "root") })),
    ];
    const client = await RunnerClient.connect(socketDial(join(this.#folder(spec.id), "control/sock"), 10_000), {
      spillPrefix: join(root, "tmp/output-"),
    });
    const sandbox = new ProcessSandbox({
      spec,
      identity,
      client,
      paths: new Paths(root, elsewhere),
      enforced: this.enforced,
      remove: async () => {
        await this.#removeRemains(spec.id);
        this.#open.delete(spec.id);
      },
    });
    this.#open.set(spec.id, sandbox);
    return sandbox;
  }

  async #removeRemains(id: string): Promise<void> {
    const record = await readRecord(this.#recordPath(id));
    if (record?.identity !== undefined) {
      // It ends all that it started, and then itself.
      signal(record.identity, "SIGTERM");
      signal(record.identity, "SIGCONT");
      if (!(await waitUntilDead(record.identity, 5_000))) await killTree(record.identity);
    }
    const unnoted = record?.identity === undefined && existsSync(join(this.#folder(id), "control/sock"));
    await rm(this.#folder(id), { recursive: true, force: true, maxRetries: 3 });
    // A runner that a killed server had no time to note down: it looks once a second whether its folder is there.
    if (unnoted) await sleep(1_200);
  }

  #folder(id: string): string {
    return join(this.#options.stateDir, "sandboxes", id);
  }

  #recordPath(id: string): string {
    return join(this.#folder(id), "sandbox.json");
  }
}

const UNLIMITED = "commands run in no control group of their own";
const LACKS: Lacks = {
  isolation: "commands run as the server's user, beside the host's own processes",
  noNetwork: "commands have the host's network",
  directories: "there is no root file system but the host's",
  images: "there is no root file system but the host's",
  attach: "nothing can be mounted",
  readOnlyBinds: "what is bound is the host's own folder",
  owners: "there is no user but the server's",
  ...{
    memoryLimit: UNLIMITED,
    cpuLimit: UNLIMITED,
    pidsLimit: UNLIMITED,
    diskLimit: "nobody looks at the size of its folder",
    hardDiskLimit: "nobody looks at the size of its folder",
  },
  ...{ oomCount: UNLIMITED, usage: UNLIMITED },
};

/** In a layer that stands for all the layers below it as well. */
const WHOLE = ".sandlot-whole-layer";

/** In a session of its own, holding nothing of this process: it outlives a server that is killed. */
async function start(runnerPath: string, folder: string): Promise<number> {
  const control = openSync(join(folder, "control"), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const child: ChildProcess = spawn(runnerPath, [], {
      cwd: join(folder, "root"),
      detached: true,
      stdio: ["ignore", "ignore", "ignore", control],
      env: { PATH: "/usr/local/bin:/usr/bin:/bin" },
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", () => resolve());
      child.once("error", reject);
    });
    child.unref();
    return child.pid ?? 0;
  } finally {
    closeSync(control);
  }
}
