import { setTimeout as sleep } from "node:timers/promises";
import { SandlotError } from "../errors.ts";
import { checkExec, checkFile, checkSpec, checkView } from "./checks.ts";
import type { BareBackend, BareSandbox } from "./guarded.ts";
import { RunnerGone } from "./runner/client.ts";
import type {
  Backend,
  Cost,
  Enforced,
  ExecOptions,
  ExecResult,
  FileContent,
  FileOptions,
  Images,
  ReadRange,
  Sandbox,
  SandboxSpec,
  View,
} from "./sandbox.ts";

/**
 * The one wrapper around every backend: arguments are checked, every call ends in finite time, disposing happens once, and whose fault an end was is decided here. An end
 * that processes inside brought about is a result; only a cause outside is fault `sandbox`.
 */
export function guardBackend(backend: BareBackend): Backend {
  return {
    name: backend.name,
    capabilities: backend.capabilities,
    lacks: backend.lacks,
    enforced: backend.enforced,
    ...(backend.images && { images: guardImages(backend.images) }),
    create: async (spec, signal) => {
      checkSpec(spec);
      signal?.throwIfAborted();
      return new GuardedSandbox(await attributed(() => backend.create(spec, signal), signal));
    },
    ...(backend.attach && {
      attach: async (id: string, view: View) => {
        checkView(view);
        await attributed(async () => backend.attach?.(id, view));
      },
    }),
    reopen: async (id) => {
      const sandbox = await backend.reopen(id);
      return sandbox && new GuardedSandbox(sandbox);
    },
    list: () => backend.list(),
    remove: (id) => backend.remove(id),
    buildLayer: (spec: SandboxSpec, target: string, work: (sandbox: Sandbox) => Promise<void>) => {
      checkSpec(spec);
      return attributed(() => backend.buildLayer(spec, target, (sandbox) => work(new GuardedSandbox(sandbox))));
    },
    ...(backend.sweep && { sweep: async () => backend.sweep?.() }),
    close: () => backend.close(),
  };
}

function guardImages(images: Images): Images {
  return {
    resolve: (ref, watch) => attributed(() => images.resolve(ref, watch), watch.signal),
    ...(images.lack && { lack: async (ref: string) => images.lack?.(ref) }),
    ...(images.kept && { kept: images.kept }),
  };
}

class GuardedSandbox implements Sandbox {
  readonly #bare: BareSandbox;
  #disposing: Promise<void> | undefined;

  constructor(bare: BareSandbox) {
    this.#bare = bare;
  }

  get id(): string {
    return this.#bare.id;
  }
  get workdir(): string {
    return this.#bare.workdir;
  }
  get env(): Readonly<Record<string, string>> {
    return this.#bare.env;
  }
  get limits(): SandboxSpec["limits"] {
    return this.#bare.limits;
  }
  get enforced(): Enforced {
    return this.#bare.enforced;
  }

  locate(path: string): string {
    return this.#bare.locate(path);
  }

  async exec(argv: readonly string[], options: ExecOptions): Promise<ExecResult> {
    checkExec(argv, options);
    const started = performance.now();
    const deadlineMs = options.timeoutMs + GRACE_MS;
    const run = (signal: AbortSignal): Promise<ExecResult> => this.#bare.exec(argv, { ...options, signal });
    const ended = (words: string): ExecResult => endedResult(words, performance.now() - started);
    return await this.#call(options, deadlineMs, run, ended);
  }

  async readFile(path: string, options: FileOptions & ReadRange): Promise<FileContent> {
    checkFile(path, options);
    const read = (signal: AbortSignal): Promise<FileContent> => this.#bare.readFile(path, { ...options, signal });
    return await this.#call(options, FILE_MS, read, () => ({ type: "missing", sizeBytes: 0, data: new Uint8Array() }));
  }

  async writeFile(
    path: string,
    data: Uint8Array,
    options: FileOptions & { readonly mode?: number },
  ): Promise<{ readonly failure?: string }> {
    checkFile(path, options);
    const write = (signal: AbortSignal): Promise<{ readonly failure?: string }> =>
      this.#bare.writeFile(path, data, { ...options, signal });
    return await this.#call(options, FILE_MS, write, (failure) => ({ failure }));
  }

  async interrupt(callId: string): Promise<void> {
    await this.#briefly(() => this.#bare.interrupt(callId));
  }

  acknowledge(callId: string): void {
    if (this.#disposing === undefined) this.#bare.acknowledge(callId);
  }

  async freeze(): Promise<AsyncDisposable> {
    this.#mustExist();
    return await attributed(() => this.#bare.freeze());
  }

  async alive(): Promise<boolean> {
    return this.#disposing === undefined && (await this.#bare.alive());
  }

  cost(): Cost | undefined {
    return this.#bare.cost?.();
  }

  async usage(): Promise<{ readonly diskBytes: number; readonly memoryBytes: number }> {
    this.#mustExist();
    return await attributed(() => this.#bare.usage());
  }

  dispose(): Promise<void> {
    this.#disposing ??= this.#bare.dispose().catch((error: unknown) => {
      this.#disposing = undefined; // the next call tries again
      throw error;
    });
    return this.#disposing;
  }

  /** Runs one call to its end or its deadline; past that, what runs inside is ended from outside and the answer is waited for once more. */
  async #call<T>(
    options: { readonly callId: string; readonly signal?: AbortSignal },
    deadlineMs: number,
    run: (signal: AbortSignal) => Promise<T>,
    ended: (words: string) => T,
  ): Promise<T> {
    this.#mustExist();
    for (const waitMs of [deadlineMs, LAST_WAIT_MS]) {
      const late = new AbortController();
      const timer = setTimeout(() => late.abort(), Math.min(waitMs, MAX_TIMER_MS)).unref();
      try {
        return await run(options.signal === undefined ? late.signal : AbortSignal.any([options.signal, late.signal]));
      } catch (error) {
        options.signal?.throwIfAborted();
        this.#mustNotGo(error);
        if (error instanceof RunnerGone) return ended(await this.#afterEnd(error));
        if (!late.signal.aborted) throw error;
        this.#bare.killCommands();
      } finally {
        clearTimeout(timer);
      }
    }
    throw new SandlotError(
      "sandbox",
      `the sandbox did not answer within ${deadlineMs} ms, nor after all it ran was ended`,
    );
  }

  /** Words for the policy when it did this; otherwise the fault is not its own. */
  async #afterEnd(cause: RunnerGone): Promise<string> {
    // Its socket closes a little before it is dead.
    for (const end = performance.now() + DYING_MS; performance.now() < end && (await this.#bare.alive()); )
      await sleep(5);
    const words = (await this.#bare.alive()) ? undefined : this.#bare.endedByItself();
    if (words !== undefined) return words;
    throw new SandlotError("sandbox", "the sandbox's first process was ended from outside", { cause });
  }

  /** For calls that mean nothing to a sandbox that is gone, and that one which does not answer need not hold up. */
  async #briefly(call: () => Promise<void>): Promise<void> {
    if (this.#disposing !== undefined) return;
    const stop = new AbortController();
    try {
      await Promise.race([call(), sleep(GRACE_MS, undefined, { signal: stop.signal, ref: false })]);
    } catch (error) {
      if (!(error instanceof RunnerGone)) throw error;
    } finally {
      stop.abort();
    }
  }

  /** What a call trips over while its sandbox is removed tells of the removal. */
  #mustNotGo(cause: unknown): void {
    if (this.#disposing !== undefined)
      throw new SandlotError("ended", "the sandbox was removed while the call waited", { cause });
  }

  #mustExist(): void {
    if (this.#disposing !== undefined) throw new SandlotError("ended", "the sandbox was removed");
  }
}

/** How long past its own time-out a command may take to be seen dead, on a host that is hard pressed. */
const GRACE_MS = 30_000;
const LAST_WAIT_MS = 10_000;
const DYING_MS = 5_000;
const FILE_MS = 120_000;
/** The longest that a timer can wait. */
const MAX_TIMER_MS = 2 ** 31 - 1;
const SIGKILL = 9;

function endedResult(note: string, durationMs: number): ExecResult {
  const nothing = { output: [], outputBytes: 0, truncated: false, timedOut: false, interrupted: false } as const;
  return { signal: SIGKILL, ...nothing, oomKills: 1, durationMs, note };
}

/** What a backend trips over by itself is never the policy's doing. */
async function attributed<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SandlotError || signal?.aborted === true) throw error;
    const words = error instanceof Error ? error.message : String(error);
    throw new SandlotError("sandbox", words, { cause: error });
  }
}
