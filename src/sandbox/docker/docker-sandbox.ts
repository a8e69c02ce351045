import type { Container } from "dockerode";
import type { Cgroup } from "../cgroup.ts";
import { type Identity, lives } from "../identity.ts";
import { RunnerSandbox, type RunnerSandboxParts } from "../runner/runner-sandbox.ts";
import type { ExecOptions, ExecResult } from "../sandbox.ts";
import { Tolls } from "../tolls.ts";
import type { DiskWatch, WatchedDisk } from "./disk-watch.ts";
import type { Engine } from "./engine.ts";
import { goOn, pause } from "./pausing.ts";

export interface DockerSandboxParts extends RunnerSandboxParts {
  readonly engine: Engine;
  readonly container: Container;
  /** Of the first process, and its control group, where the engine is on this host. */
  readonly identity: Identity | undefined;
  readonly cgroup: Cgroup | undefined;
  readonly watch: DiskWatch | undefined;
  /** Removes the container and what is kept of it. */
  readonly remove: () => Promise<void>;
}

/** A sandbox that is a container of an engine. See the contract for what its methods promise. */
export class DockerSandbox extends RunnerSandbox implements WatchedDisk {
  readonly #parts: DockerSandboxParts;
  readonly #tolls: Tolls;
  #running = new Set<string>();
  #stirred = true;
  /** What the engine, or its control group, said of a container that has ended. */
  #ranOut = false;

  constructor(parts: DockerSandboxParts) {
    super(parts);
    this.#parts = parts;
    this.#tolls = new Tolls({
      counter: parts.cgroup,
      diskMiB: parts.spec.limits.diskMiB,
      killCommands: () => this.killCommands(),
    });
    parts.watch?.add(this);
  }

  async exec(argv: readonly string[], options: ExecOptions): Promise<ExecResult> {
    const { cwd = this.workdir, env = this.env } = options;
    this.#running.add(options.callId);
    this.#stirred = true;
    try {
      return await this.#tolls.during(options.callId, () => this.client.exec(argv, { ...options, cwd, env }));
    } finally {
      this.#running.delete(options.callId);
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

  protected halt(): Promise<void> {
    return pause(this.#parts.engine, this.#parts.container);
  }

  protected goOn(): Promise<void> {
    return goOn(this.#parts.engine, this.#parts.container);
  }

  async alive(): Promise<boolean> {
    if (this.disposing) return false;
    const { engine, container, identity } = this.#parts;
    if (identity !== undefined && lives(identity)) return true;
    try {
      const { State } = await engine.read("look at a container", (abortSignal) => container.inspect({ abortSignal }));
      this.#ranOut ||= State.OOMKilled;
      return identity === undefined && State.Running;
    } catch (error) {
      if (identity !== undefined) return false;
      throw error;
    }
  }

  /** Told that the line to the first process was cut. Where that has ended its control group stays for a moment, and says what engines keep to themselves. */
  lookAtEnd(): void {
    const { identity, cgroup } = this.#parts;
    if (identity === undefined || cgroup === undefined || lives(identity)) return;
    // The first process is the last that the kernel picks: see the oci backend.
    this.#ranOut ||= cgroup.oomKillsSince(0).own > 0;
  }

  async usage(): Promise<{ readonly diskBytes: number; readonly memoryBytes: number }> {
    return { diskBytes: await this.size(), memoryBytes: this.#parts.cgroup?.memoryBytes() ?? 0 };
  }

  endedByItself(): string | undefined {
    if (!this.#ranOut) return undefined;
    return `the sandbox ran out of its ${this.limits.memoryMiB} MiB of memory and all of its processes were ended`;
  }

  killCommands(): void {
    const { cgroup, identity } = this.#parts;
    if (cgroup === undefined || identity === undefined) {
      for (const callId of this.#running) this.interrupt(callId).catch(() => undefined);
      return;
    }
    // Again, for what was forked meanwhile.
    for (let round = 0; round < 5 && cgroup.kill(identity.pid) > 0; round++);
  }

  stirred(): boolean {
    const stirred = this.#stirred;
    this.#stirred = this.#running.size > 0 || (this.#parts.cgroup?.processes().length ?? 0) > 1;
    return stirred || this.#stirred;
  }

  async size(): Promise<number> {
    const { engine, container } = this.#parts;
    const look = () => container.inspect({ size: true } as object); // typed without this option and its answer
    const measured: object & { readonly SizeRw?: number } = await engine.read("measure a container", look);
    return measured.SizeRw ?? 0;
  }

  measured(bytes: number): void {
    this.#tolls.measured(bytes);
  }

  override async detach(): Promise<void> {
    this.#parts.watch?.delete(this);
    await super.detach();
  }

  protected async end(): Promise<void> {
    this.#parts.watch?.delete(this);
    await this.#parts.remove();
    await this.client.close();
  }
}
