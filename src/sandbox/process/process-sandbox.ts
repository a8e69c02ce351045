import { type Identity, lives } from "../identity.ts";
import { FREEZE_MS, RunnerSandbox, type RunnerSandboxParts } from "../runner/runner-sandbox.ts";
import type { ExecOptions, ExecResult } from "../sandbox.ts";
import { continueTree, signalDescendants, stopTree } from "../tree.ts";
import type { Paths } from "./paths.ts";

export interface ProcessSandboxParts extends RunnerSandboxParts {
  readonly identity: Identity;
  readonly paths: Paths;
  /** Ends its processes and removes its files. */
  readonly remove: () => Promise<void>;
}

/** Commands on this host in a copy of an environment: nothing is isolated and nothing is limited. */
export class ProcessSandbox extends RunnerSandbox {
  readonly #parts: ProcessSandboxParts;

  constructor(parts: ProcessSandboxParts) {
    const { spec, paths } = parts;
    super({ ...parts, spec: { ...spec, env: paths.locateEnv(spec.env), workdir: paths.locate(spec.workdir) } });
    this.#parts = parts;
  }

  override locate(path: string): string {
    return this.#parts.paths.locate(path);
  }

  async exec(argv: readonly string[], options: ExecOptions): Promise<ExecResult> {
    const cwd = this.locate(options.cwd ?? this.workdir);
    const env = this.#parts.paths.locateEnv(options.env ?? this.env);
    return { ...(await this.client.exec(argv, { ...options, cwd, env })), oomKills: 0 };
  }

  protected halt(): Promise<unknown> {
    return stopTree(this.#parts.identity, FREEZE_MS);
  }

  protected async goOn(): Promise<void> {
    continueTree(this.#parts.identity);
  }

  alive(): Promise<boolean> {
    return Promise.resolve(!this.disposing && lives(this.#parts.identity));
  }

  usage(): Promise<{ readonly diskBytes: number; readonly memoryBytes: number }> {
    return Promise.resolve({ diskBytes: 0, memoryBytes: 0 });
  }

  /** Without isolation nobody can tell who ended it. */
  endedByItself(): undefined {
    return undefined;
  }

  killCommands(): void {
    signalDescendants(this.#parts.identity.pid, "SIGKILL");
  }

  /** Ends its processes and keeps its files. */
  async stop(): Promise<void> {
    await this.client.shutdown();
    await this.client.close();
  }

  protected async end(): Promise<void> {
    await this.#parts.remove();
    await this.client.close();
  }
}
