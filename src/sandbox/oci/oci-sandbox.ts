import { stat } from "node:fs/promises";
import { lives } from "../identity.ts";
import { type ProcessGroup, ProcessTree } from "../process-group.ts";
import { FREEZE_MS, RunnerSandbox, type RunnerSandboxParts } from "../runner/runner-sandbox.ts";
import type { ExecOptions, ExecResult } from "../sandbox.ts";
import { Tolls } from "../tolls.ts";
import type { ProcessTable } from "../tree.ts";
import type { DiskWatch, WatchedDisk } from "./disk-watch.ts";
import type { MemoryWatch, WatchedMemory } from "./memory-watch.ts";
import { endProcesses, type Remains, removeBytes } from "./teardown.ts";

export interface OciSandboxParts extends RunnerSandboxParts, Remains {
  readonly identity: NonNullable<Remains["identity"]>;
  readonly group: ProcessGroup | undefined;
  /** Where no control group limits memory. */
  readonly memoryWatch: MemoryWatch | undefined;
  readonly watch: DiskWatch;
  /** Called once everything of it is gone. */
  readonly disposed: () => void;
}

/** A sandbox made by an OCI runtime. See the contract for what its methods promise. */
export class OciSandbox extends RunnerSandbox implements WatchedDisk, WatchedMemory {
  readonly #parts: OciSandboxParts;
  readonly #tolls: Tolls;
  #running = 0;
  #stirred = true;

  constructor(parts: OciSandboxParts) {
    super(parts);
    this.#parts = parts;
    this.#tolls = new Tolls({
      counter: parts.group,
      diskMiB: parts.spec.limits.diskMiB,
      killCommands: () => this.killCommands(),
    });
    if (parts.disk === "folder") parts.watch.add(this);
    parts.memoryWatch?.add(this);
  }

  get folder(): string {
    return this.#parts.places.own;
  }

  async exec(argv: readonly string[], options: ExecOptions): Promise<ExecResult> {
    const { cwd = this.workdir, env = this.env } = options;
    this.#running++;
    this.#stirred = true;
    try {
      return await this.#tolls.during(options.callId, () => this.client.exec(argv, { ...options, cwd, env }));
    } finally {
      this.#running--;
    }
  }

  override writeFile(...call: Parameters<RunnerSandbox["writeFile"]>): ReturnType<RunnerSandbox["writeFile"]> {
    this.#stirred = true;
    return super.writeFile(...call);
  }

  override acknowledge(callId: string): void {
    super.acknowledge(callId);
    this.#tolls.forget(callId);
  }

  protected async halt(): Promise<void> {
    await this.#parts.group?.freeze(FREEZE_MS);
  }

  protected async goOn(): Promise<void> {
    await this.#parts.group?.thaw();
  }

  alive(): Promise<boolean> {
    return Promise.resolve(!this.disposing && lives(this.#parts.identity));
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

  /** Ends its processes and keeps its bytes. */
  async stop(): Promise<void> {
    this.#parts.watch.delete(this);
    this.#parts.memoryWatch?.delete(this);
    await endProcesses(this.#parts);
    await this.client.close();
  }

  override async detach(): Promise<void> {
    this.#parts.watch.delete(this);
    this.#parts.memoryWatch?.delete(this);
    await super.detach();
  }

  protected async end(): Promise<void> {
    await this.stop();
    await removeBytes(this.#parts);
    this.#parts.disposed();
  }
}
