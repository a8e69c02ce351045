import type { ExecOptions, ExecResult, FileContent, FileOptions } from "../sandbox.ts";

/**
 * The runner is not there any more: its socket refuses or has vanished, or another runner answers in its place. Commands that were under way have no result.
 * The backend decides what that means.
 */
export class RunnerGone extends Error {
  override readonly name = "RunnerGone";
}

/** `ExecOptions` with the sandbox's defaults filled in. */
export interface RunnerExecOptions extends ExecOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** What the runner knows of a command; out-of-memory kills are counted outside, by the backend. */
export type RunnerExecResult = Omit<ExecResult, "oomKills">;

export interface RunnerCall {
  readonly id: string;
  readonly running: boolean;
  readonly outputBytes: number;
}

export interface RunnerClientOptions {
  /** How long to wait for a runner that was just started to bind its socket; 0 (the default) = it must be there. */
  readonly appearTimeoutMs?: number;
  /** Where spilled output goes inside the sandbox: a random suffix is added. Default `/tmp/output-`. */
  readonly spillPrefix?: string;
}

/**
 * One connection to the runner of one sandbox, shared by any number of calls. A connection that breaks while the runner lives is made again and every call goes
 * on where it was; when the runner itself is gone, calls reject with `RunnerGone`. Idle, it costs a socket and does not keep the process alive.
 */
export class RunnerClient implements AsyncDisposable {
  /** A random number of the running runner, as hex: the same after a reconnect means that no result was lost. */
  readonly instance: string;

  private constructor(instance: string) {
    this.instance = instance;
  }

  /** `socketPath` may be longer than a socket address allows. Rejects with `RunnerGone` when nobody listens (after `appearTimeoutMs`). */
  static connect(_socketPath: string, _options: RunnerClientOptions = {}): Promise<RunnerClient> {
    return Promise.reject(new Error("not built yet"));
  }

  /** See `Sandbox.exec`. Rejects with `options.signal`'s reason when that ends the waiting, with `RunnerGone`, else resolves. */
  exec(_argv: readonly string[], _options: RunnerExecOptions): Promise<RunnerExecResult> {
    return Promise.reject(new Error("not built yet"));
  }

  /** Resolves when the runner has taken note; the command's `exec` resolves when its processes are dead. */
  interrupt(_callId: string): Promise<void> {
    return Promise.reject(new Error("not built yet"));
  }

  /** `maxBytes` defaults to, and is at most, 64 MiB. The result is kept under its call id like that of a command. */
  readFile(_path: string, _options: FileOptions & { readonly maxBytes?: number }): Promise<FileContent> {
    return Promise.reject(new Error("not built yet"));
  }

  writeFile(
    _path: string,
    _data: Uint8Array,
    _options: FileOptions & { readonly mode?: number },
  ): Promise<{ readonly failure?: string }> {
    return Promise.reject(new Error("not built yet"));
  }

  /** Forgets the finished call of that id, and those that begin with it and a dot. */
  acknowledge(_callId: string): Promise<void> {
    return Promise.reject(new Error("not built yet"));
  }

  /** All calls that the runner still knows, running or kept. */
  calls(): Promise<readonly RunnerCall[]> {
    return Promise.reject(new Error("not built yet"));
  }

  /** Asks the runner to kill everything it started and to leave. Resolves when its socket has closed. */
  shutdown(): Promise<void> {
    return Promise.reject(new Error("not built yet"));
  }

  /** Ends the connection only; calls that wait reject with `RunnerGone`. Commands go on, another client may attach. */
  close(): Promise<void> {
    return Promise.reject(new Error("not built yet"));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
