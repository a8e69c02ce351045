import type { ExecOptions, ExecResult, FileContent, Limits, Sandbox } from "../sandbox/sandbox.ts";
import type { StepSandbox } from "../tools/tool.ts";
import type { LiveOutput } from "./live-output.ts";

/**
 * A trajectory's sandbox under the call ids of one step: `<prefix>.0`, `<prefix>.1`, ... in the order of the calls, so that a step that is run again finds its own results.
 * Call `acknowledge(prefix)` once the step's outcome is in the journal.
 */
export class PrefixedSandbox implements StepSandbox {
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly limits: Limits;
  /** Time spent in the sandbox, in milliseconds. */
  spentMs = 0;
  interrupted = false;
  readonly #sandbox: Sandbox;
  readonly #prefix: string;
  readonly #output: LiveOutput | undefined;
  #count = 0;
  #current: string | undefined;

  constructor(sandbox: Sandbox, prefix: string, output?: LiveOutput) {
    this.workdir = sandbox.workdir;
    this.env = sandbox.env;
    this.limits = sandbox.limits;
    this.#sandbox = sandbox;
    this.#prefix = prefix;
    this.#output = output;
  }

  locate(path: string): string {
    return this.#sandbox.locate(path);
  }

  async exec(
    argv: readonly string[],
    options: Omit<ExecOptions, "callId" | "signal" | "onOutput">,
  ): Promise<ExecResult> {
    const live = this.#output;
    const listen = live ? { onOutput: (chunk: ExecResult["output"][number]) => live.push(chunk) } : {};
    const result = await this.#call((callId) => this.#sandbox.exec(argv, { ...options, ...listen, callId }));
    live?.nextCommand(result.outputBytes);
    return result;
  }

  readFile(path: string, options: { readonly maxBytes?: number; readonly offset?: number } = {}): Promise<FileContent> {
    return this.#call((callId) => this.#sandbox.readFile(path, { ...options, callId }));
  }

  writeFile(
    path: string,
    data: Uint8Array,
    options: { readonly mode?: number } = {},
  ): Promise<{ readonly failure?: string }> {
    return this.#call((callId) => this.#sandbox.writeFile(path, data, { ...options, callId }));
  }

  /** Ends the command that runs now, and every later one of the step as soon as it begins. */
  async interrupt(): Promise<void> {
    this.interrupted = true;
    if (this.#current) await this.#sandbox.interrupt(this.#current);
  }

  async #call<T>(work: (callId: string) => Promise<T>): Promise<T> {
    const callId = `${this.#prefix}.${this.#count++}`;
    const began = performance.now();
    this.#current = callId;
    try {
      const done = work(callId);
      if (this.interrupted) await this.#sandbox.interrupt(callId);
      return await done;
    } finally {
      this.#current = undefined;
      this.spentMs += performance.now() - began;
    }
  }
}
