import type { BareSandbox } from "../guarded.ts";
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
import type { RunnerClient } from "./client.ts";

export interface RunnerSandboxParts {
  readonly spec: SandboxSpec;
  readonly enforced: Enforced;
  readonly client: RunnerClient;
}

/** What a sandbox does by the runner inside of it, alike on every backend. See the contract for what its methods promise. */
export abstract class RunnerSandbox implements BareSandbox {
  readonly id: string;
  readonly workdir: string;
  readonly env: SandboxSpec["env"];
  readonly limits: SandboxSpec["limits"];
  readonly enforced: Enforced;
  protected readonly client: RunnerClient;
  readonly #stillness = new Stillness(
    () => this.halt(),
    () => this.goOn(),
  );
  #disposing: Promise<void> | undefined;

  constructor({ spec, enforced, client }: RunnerSandboxParts) {
    this.id = spec.id;
    this.workdir = spec.workdir;
    this.env = spec.env;
    this.limits = spec.limits;
    this.enforced = enforced;
    this.client = client;
  }

  abstract exec(argv: readonly string[], options: ExecOptions): Promise<ExecResult>;
  abstract alive(): Promise<boolean>;
  abstract usage(): Promise<{ readonly diskBytes: number; readonly memoryBytes: number }>;
  abstract endedByItself(): string | undefined;
  abstract killCommands(): void;
  /** Stops every process where it stands. */
  protected abstract halt(): Promise<unknown>;
  /** Lets them go on; nothing where there is nothing any more. */
  protected abstract goOn(): Promise<unknown>;
  /** Ends its processes and removes what is kept of it; after a failure it is asked again. */
  protected abstract end(): Promise<void>;

  locate(path: string): string {
    return path;
  }

  interrupt(callId: string): Promise<void> {
    return this.client.interrupt(callId);
  }

  readFile(path: string, options: FileOptions & ReadRange): Promise<FileContent> {
    return this.client.readFile(this.locate(path), options);
  }

  writeFile(
    path: string,
    data: Uint8Array,
    options: FileOptions & { readonly mode?: number },
  ): Promise<{ readonly failure?: string }> {
    return this.client.writeFile(this.locate(path), data, options);
  }

  acknowledge(callId: string): void {
    this.client.acknowledge(callId);
  }

  freeze(): Promise<AsyncDisposable> {
    return this.#stillness.hold();
  }

  protected get disposing(): boolean {
    return this.#disposing !== undefined;
  }

  dispose(): Promise<void> {
    this.#disposing ??= this.end().catch((error: unknown) => {
      this.#disposing = undefined;
      throw error;
    });
    return this.#disposing;
  }

  /** Lets go of it: it lives on, for a later server. */
  detach(): Promise<void> {
    return this.client.close();
  }
}

/** How long processes may take to stand still: what waits for a slow disk cannot before it has its answer, and how long that is lies in the hands of the policy. */
export const FREEZE_MS = 120_000;
