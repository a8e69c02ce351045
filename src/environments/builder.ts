import { SandlotError } from "../errors.ts";
import { tail } from "../host-command.ts";
import type { Backend, Bind, ExecResult, Limits, Rootfs, Sandbox } from "../sandbox/sandbox.ts";
import type { Progress } from "../shelf/flight.ts";
import { CONFIG_ENV } from "./git.ts";
import type { Repo } from "./seal.ts";

/** What every preparation builds with. */
export interface Workshop {
  readonly backend: Backend;
  readonly limits: Limits;
  readonly newId: () => string;
  readonly stepTimeoutMs: number;
}

export interface BuildSpec {
  readonly rootfs: Rootfs;
  readonly layers: readonly string[];
  readonly binds: readonly Bind[];
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly network: "none" | "host";
  /** The new layer's folder on the host. */
  readonly target: string;
}

export interface Watch {
  readonly signal: AbortSignal;
  readonly report: (progress: Progress) => void;
}

/** Runs `work` in a builder sandbox on top of `spec.layers` and keeps what it wrote as the layer `spec.target`. */
export async function build(
  workshop: Workshop,
  spec: BuildSpec,
  watch: Watch,
  work: (builder: Builder) => Promise<void>,
): Promise<void> {
  const { target, ...rest } = spec;
  const whole = { ...rest, id: workshop.newId(), views: [], limits: workshop.limits };
  watch.signal.throwIfAborted();
  await workshop.backend.buildLayer(whole, target, (sandbox) =>
    work(new Builder(sandbox, workshop.stepTimeoutMs, watch)),
  );
}

/** A builder sandbox at work: commands one after the other, each of which has to succeed. */
export class Builder {
  readonly #sandbox: Sandbox;
  readonly #timeoutMs: number;
  readonly #watch: Watch;
  #calls = 0;

  constructor(sandbox: Sandbox, timeoutMs: number, watch: Watch) {
    this.#sandbox = sandbox;
    this.#timeoutMs = timeoutMs;
    this.#watch = watch;
  }

  /** Runs a script by `bash -c` in the workdir; its output. A failure is the task's, with the last 2 KiB of output. */
  async run(stage: Progress["stage"], script: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
    const result = await this.exec(["bash", "-c", script], { stage, env });
    if (result.exitCode === 0) return textOf(result);
    const how = result.timedOut ? `did not end within ${this.#timeoutMs} ms` : `failed with ${outcomeOf(result)}`;
    throw new SandlotError("task", `set-up command ${how}: ${script.slice(0, 500)}\n${tail(textOf(result))}`, {
      field: "environment.setup",
    });
  }

  /** Whether a script succeeded. */
  async succeeds(stage: Progress["stage"], script: string, env: Readonly<Record<string, string>>): Promise<boolean> {
    return (await this.exec(["bash", "-c", script], { stage, env })).exitCode === 0;
  }

  note(stage: Progress["stage"], message: string): void {
    this.#watch.report({ stage, message: `note: ${message}` });
  }

  async exec(argv: readonly string[], options: BuilderExec): Promise<ExecResult> {
    this.#watch.signal.throwIfAborted();
    this.#calls += 1;
    const callId = `build-${this.#calls}`;
    const result = await this.#sandbox.exec(argv, {
      callId,
      cwd: options.cwd ?? this.#sandbox.workdir,
      env: { ...this.#sandbox.env, ...options.env },
      timeoutMs: this.#timeoutMs,
      keepBytes: options.keepBytes ?? 64 * 1024,
      signal: this.#watch.signal,
      ...(options.stage === undefined ? {} : { onOutput: this.#reporter(options.stage) }),
    });
    this.#sandbox.acknowledge(callId);
    return result;
  }

  async writeFile(path: string, text: string, mode = 0o644): Promise<void> {
    this.#calls += 1;
    const callId = `build-${this.#calls}`;
    const written = await this.#sandbox.writeFile(path, Buffer.from(text), {
      callId,
      mode,
      signal: this.#watch.signal,
    });
    this.#sandbox.acknowledge(callId);
    if (written.failure)
      throw new SandlotError(
        "task",
        `${path} could not be written while the environment was prepared: ${written.failure}`,
      );
  }

  /** The repository at the workdir, for sealing: the sandbox's git under the same precautions as the host's. */
  repo(): Repo {
    const call = async (argv: readonly string[], env: Readonly<Record<string, string>>) => {
      const result = await this.exec(argv, { env: { ...CONFIG_ENV, ...env }, keepBytes: 4 * 1024 * 1024 });
      if (result.truncated) throw new SandlotError("task", "set-up left more untracked files than can be listed");
      return { exitCode: result.exitCode ?? 1, stdout: textOf(result, "stdout"), stderr: textOf(result, "stderr") };
    };
    return {
      git: (args, env = {}) => call(["git", ...args], env),
      sh: (script, args) => call(["sh", "-c", script, "sh", ...args], {}),
      exclude: async (lines) => {
        if (lines.length === 0) return;
        const script = 'mkdir -p .git/info && printf "%s\\n" "$@" >> .git/info/exclude';
        await call(["sh", "-c", script, "sh", ...lines], {});
      },
    };
  }

  #reporter(stage: string): (chunk: { readonly data: Uint8Array }) => void {
    let reportedMs = 0;
    return (chunk) => {
      const now = Date.now();
      if (now - reportedMs < 500) return;
      const line = Buffer.from(chunk.data).toString("utf8").trimEnd().split("\n").at(-1)?.trim();
      if (!line) return;
      reportedMs = now;
      this.#watch.report({ stage, message: line.slice(0, 200) });
    };
  }
}

export interface BuilderExec {
  readonly stage?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly keepBytes?: number;
}

function textOf(result: ExecResult, stream?: "stdout" | "stderr"): string {
  const chunks = result.output.filter((chunk) => stream === undefined || chunk.stream === stream);
  return Buffer.concat(chunks.map((chunk) => chunk.data)).toString("utf8");
}

function outcomeOf(result: ExecResult): string {
  if (result.oomKills > 0) return "out of memory";
  return result.signal === undefined ? `exit code ${result.exitCode}` : `signal ${result.signal}`;
}
