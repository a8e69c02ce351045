import type { RunnerClient } from "../runner/client.ts";
import { RunnerSandbox } from "../runner/runner-sandbox.ts";
import type { Cost, ExecOptions, ExecResult } from "../sandbox.ts";
import { FREEZE, KILL, OOM_KILLS, USAGE } from "./boot.ts";
import type { End } from "./line.ts";
import type { Machine } from "./machine.ts";
import type { StartedRecord } from "./record.ts";

export interface E2bSandboxParts {
  readonly record: StartedRecord;
  readonly machine: Machine;
  readonly client: RunnerClient;
  /** What is known to have ended. */
  readonly end: End;
  /** US dollars for a second of the machine. */
  readonly pricePerS: number;
  /** Ends the machine and removes what is written down of it. */
  readonly remove: () => Promise<void>;
}

/** A sandbox in a machine of the service. See the contract for what its methods promise. */
export class E2bSandbox extends RunnerSandbox {
  readonly #parts: E2bSandboxParts;
  readonly #pid: string;
  /** Out-of-memory kills that were seen before. */
  #oomKills = 0;
  #ownDoing = false;

  constructor(parts: E2bSandboxParts) {
    super({ spec: parts.record.spec, enforced: parts.record.runner.enforced, client: parts.client });
    this.#parts = parts;
    this.#pid = String(parts.record.runner.pid);
  }

  get machine(): Machine {
    return this.#parts.machine;
  }

  async exec(argv: readonly string[], options: ExecOptions): Promise<ExecResult> {
    const { cwd = this.workdir, env = this.env } = options;
    const result = await this.client.exec(argv, { ...options, cwd, env });
    const suspect = result.exitCode !== 0 && result.timedOut === false && !result.interrupted;
    return { ...result, oomKills: suspect ? await this.#newOomKills() : 0 };
  }

  protected halt(): Promise<string> {
    return this.machine.run(FREEZE, "1", this.#pid);
  }

  protected async goOn(): Promise<void> {
    if (!this.disposing) await this.machine.run(FREEZE, "0", this.#pid);
  }

  /** Asks the service unless it is known. */
  async alive(): Promise<boolean> {
    const { end } = this.#parts;
    if (this.disposing) return false;
    if (end.what === undefined && !(await this.machine.exists())) end.what = "machine";
    // Whose doing it was shows as long as the machine stands.
    if (end.what === "process") this.#ownDoing ||= (await this.#newOomKills()) > 0;
    return end.what === undefined;
  }

  cost(): Cost {
    const seconds = (Date.now() - this.#parts.record.startedAt) / 1_000;
    return { seconds, usd: seconds * this.#parts.pricePerS };
  }

  async usage(): Promise<{ readonly diskBytes: number; readonly memoryBytes: number }> {
    const [diskBytes = 0, memoryBytes = 0] = (await this.machine.run(USAGE)).trim().split(/\s+/).map(Number);
    return { diskBytes, memoryBytes };
  }

  endedByItself(): string | undefined {
    if (!this.#ownDoing) return undefined;
    return `the sandbox ran out of its ${this.limits.memoryMiB} MiB of memory and its first process was ended`;
  }

  killCommands(): void {
    this.machine.run(KILL, this.#pid).catch(() => undefined); // who waits for the command's end has its own time-out
  }

  protected async end(): Promise<void> {
    await this.client.close();
    await this.#parts.remove();
  }

  /** One more round trip, for commands only that did not end well. */
  async #newOomKills(): Promise<number> {
    const before = this.#oomKills;
    this.#oomKills = Math.max(before, await this.machine.measure(OOM_KILLS).catch(() => 0));
    return this.#oomKills - before;
  }
}
