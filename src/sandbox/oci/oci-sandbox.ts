import { stat } from "node:fs/promises";
import type { BareSandbox } from "../guarded.ts";
import { lives } from "../identity.ts";
import type { RunnerClient } from "../runner/client.ts";
import type {
  Enforced,
  ExecOptions,
  ExecResult,
  FileContent,
  FileOptions,
  ReadRange,
  SandboxSpec,
} from "../sandbox.ts";
import { Stillness } from "../stillness.ts";
import { Tolls } from "../tolls.ts";
import type { ProcessTable } from "../tree.ts";
import type { DiskWatch, WatchedDisk } from "./disk-watch.ts";
import type { MemoryWatch, WatchedMemory } from "./memory-watch.ts";
import { type ProcessGroup, ProcessTree } from "./process-group.ts";
import { endProcesses, type Remains, removeBytes } from "./teardown.ts";

export interface OciSandboxParts extends Remains {
  readonly identity: NonNullable<Remains["identity"]>;
  readonly group: ProcessGroup | undefined;
  /** Where no control group limits memory. */
  readonly memoryWatch: MemoryWatch | undefined;
  readonly spec: SandboxSpec;
  readonly enforced: Enforced;
  readonly client: RunnerClient;
  readonly watch: DiskWatch;
  /** Called once everything of it is gone. */
  readonly disposed: () => void;
}

/** A sandbox made by an OCI runtime. See the contract for what its methods promise. */
export class OciSandbox implements BareSandbox, WatchedDisk, WatchedMemory {
  readonly #parts: OciSandboxParts;
  readonly #tolls: Tolls;
  #running = 0;
  #stirred = true;
  readonly #stillness = new Stillness(
    () => Promise.resolve(this.#parts.group?.freeze(FREEZE_MS)),
    () => Promise.resolve(this.#parts.group?.thaw()),
  );
  #disposing: Promise<void> | undefined;

  constructor(parts: OciSandboxParts) {
    this.#parts = parts;
    this.#tolls = new Tolls({
      counter: parts.group,
      diskMiB: parts.spec.limits.diskMiB,
      killCommands: () => this.killCommands(),
    });
    if (parts.disk === "folder") parts.watch.add(this);
    parts.memoryWatch?.add(this);
  }

  get id(): string {
    return this.#parts.spec.id;
  }
  get workdir(): string {
    return this.#parts.spec.workdir;
  }
  get env(): SandboxSpec["env"] {
    return this.#parts.spec.env;
  }
  get limits(): SandboxSpec["limits"] {
    return this.#parts.spec.limits;
  }
  get enforced(): Enforced {
    return this.#parts.enforced;
  }
  get folder(): string {
    return this.#parts.places.own;
  }

  locate(path: string): string {
    return path;
  }

  async exec(argv: readonly string[], options: ExecOptions): Promise<ExecResult> {
    const { cwd = this.workdir, env = this.env } = options;
    this.#running++;
    this.#stirred = true;
    try {
      return await this.#tolls.during(options.callId, () => this.#parts.client.exec(argv, { ...options, cwd, env }));
    } finally {
      this.#running--;
    }
  }

  interrupt(callId: string): Promise<void> {
    return this.#parts.client.interrupt(callId);
  }

  readFile(path: string, options: FileOptions & ReadRange): Promise<FileContent> {
    return this.#parts.client.readFile(path, options);
  }

  writeFile(
    path: string,
    data: Uint8Array,
    options: FileOptions & { readonly mode?: number },
  ): Promise<{ readonly failure?: string }> {
    this.#stirred = true;
    return this.#parts.client.writeFile(path, data, options);
  }

  acknowledge(callId: string): void {
    this.#parts.client.acknowledge(callId);
    this.#tolls.forget(callId);
  }

  freeze(): Promise<AsyncDisposable> {
    return this.#stillness.hold();
  }

  alive(): Promise<boolean> {
    return Promise.resolve(this.#disposing === undefined && lives(this.#parts.identity));
  }

  async usage(): Promise<{ readonly diskBytes: number; readonly memoryBytes: number }> {
    const { disk, places, watch, group } = this.#parts;
    const diskBytes =
      disk === "image"
        ? await stat(places.image).then(
            (found) => found.blocks * 512,
            () => 0,
          )
        : await watch.measure(this.folder);
    return { diskBytes, memoryBytes: group?.memoryBytes() ?? 0 };
  }

  endedByItself(): string | undefined {
    const { group } = this.#parts;
    // Its first process is the last that the kernel picks: when its own limit was hit, what it ran had used up all the memory.
    if (group === undefined || group.oomKillsSince(0).own === 0) return undefined;
    return `the sandbox ran out of its ${this.limits.memoryMiB} MiB of memory and all of its processes were ended`;
  }

  killCommands(): void {
    // Again, for what was forked meanwhile.
    for (let round = 0; round < 5 && (this.#parts.group?.kill(this.#parts.identity.pid) ?? 0) > 0; round++);
  }

  stirred(): boolean {
    const stirred = this.#stirred;
    this.#stirred = this.#running > 0 || this.#parts.group?.busy() === true;
    return stirred || this.#stirred;
  }

  measured(bytes: number): void {
    this.#tolls.measured(bytes);
  }

  keepMemory(table: ProcessTable): void {
    const { group } = this.#parts;
    if (group instanceof ProcessTree) group.keepMemory(this.limits.memoryMiB * 1_048_576, table);
  }

  dispose(): Promise<void> {
    this.#disposing ??= this.#dispose().catch((error: unknown) => {
      this.#disposing = undefined;
      throw error;
    });
    return this.#disposing;
  }

  /** Ends its processes and keeps its bytes. */
  async stop(): Promise<void> {
    this.#parts.watch.delete(this);
    this.#parts.memoryWatch?.delete(this);
    await endProcesses(this.#parts);
    await this.#parts.client.close();
  }

  /** Lets go of it: it lives on, for a later server. */
  async detach(): Promise<void> {
    this.#parts.watch.delete(this);
    this.#parts.memoryWatch?.delete(this);
    await this.#parts.client.close();
  }

  async #dispose(): Promise<void> {
    await this.stop();
    await removeBytes(this.#parts);
    this.#parts.disposed();
  }
}

/** What waits for a slow disk cannot stand still before it has its answer, and how long that is lies in the hands of the policy. */
const FREEZE_MS = 120_000;
