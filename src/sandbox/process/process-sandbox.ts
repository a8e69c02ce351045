import type { BareSandbox } from "../guarded.ts";
import { type Identity, lives } from "../identity.ts";
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
import { continueTree, signalDescendants, stopTree } from "../tree.ts";
import type { Paths } from "./paths.ts";

export interface ProcessSandboxParts {
  readonly spec: SandboxSpec;
  readonly identity: Identity;
  readonly client: RunnerClient;
  readonly paths: Paths;
  readonly enforced: Enforced;
  /** Ends its processes and removes its files. */
  readonly remove: () => Promise<void>;
}

/** Commands on this host in a copy of an environment: nothing is isolated and nothing is limited. */
export class ProcessSandbox implements BareSandbox {
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
  readonly #parts: ProcessSandboxParts;
  readonly #stillness = new Stillness(
    () => stopTree(this.#parts.identity, FREEZE_MS),
    () => Promise.resolve(continueTree(this.#parts.identity)),
  );
  #disposing: Promise<void> | undefined;

  constructor(parts: ProcessSandboxParts) {
    this.#parts = parts;
    this.env = parts.paths.locateEnv(parts.spec.env);
    this.workdir = parts.paths.locate(parts.spec.workdir);
  }

  get id(): string {
    return this.#parts.spec.id;
  }
  get limits(): SandboxSpec["limits"] {
    return this.#parts.spec.limits;
  }
  get enforced(): Enforced {
    return this.#parts.enforced;
  }

  locate(path: string): string {
    return this.#parts.paths.locate(path);
  }

  async exec(argv: readonly string[], options: ExecOptions): Promise<ExecResult> {
    const cwd = this.locate(options.cwd ?? this.workdir);
    const env = this.#parts.paths.locateEnv(options.env ?? this.env);
    return { ...(await this.#parts.client.exec(argv, { ...options, cwd, env })), oomKills: 0 };
  }

  interrupt(callId: string): Promise<void> {
    return this.#parts.client.interrupt(callId);
  }

  readFile(path: string, options: FileOptions & ReadRange): Promise<FileContent> {
    return this.#parts.client.readFile(this.locate(path), options);
  }

  writeFile(
    path: string,
    data: Uint8Array,
    options: FileOptions & { readonly mode?: number },
  ): Promise<{ readonly failure?: string }> {
    return this.#parts.client.writeFile(this.locate(path), data, options);
  }

  acknowledge(callId: string): void {
    this.#parts.client.acknowledge(callId);
  }

  freeze(): Promise<AsyncDisposable> {
    return this.#stillness.hold();
  }

  alive(): Promise<boolean> {
    return Promise.resolve(this.#disposing === undefined && lives(this.#parts.identity));
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

  dispose(): Promise<void> {
    this.#disposing ??= this.#dispose().catch((error: unknown) => {
      this.#disposing = undefined;
      throw error;
    });
    return this.#disposing;
  }

  /** Ends its processes and keeps its files. */
  async stop(): Promise<void> {
    await this.#parts.client.shutdown();
    await this.#parts.client.close();
  }

  /** Lets go of it: it lives on, for a later server. */
  detach(): Promise<void> {
    return this.#parts.client.close();
  }

  async #dispose(): Promise<void> {
    await this.#parts.remove();
    await this.#parts.client.close();
  }
}

const FREEZE_MS = 120_000;
