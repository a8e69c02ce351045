import type { ExecResult } from "./sandbox.ts";

/** Counts the out-of-memory kills of a sandbox: `own` by its own limit, `host` by the host for lack of its own memory. */
export interface OomCounter {
  oomKills(): number;
  oomKillsSince(before: number): { readonly own: number; readonly host: number };
}

export interface TollsOptions {
  /** Undefined where nobody counts. */
  readonly counter: OomCounter | undefined;
  readonly diskMiB: number;
  readonly killCommands: () => void;
}

/** What a sandbox's limits on memory and disk took from its commands, told with the result of each. */
export class Tolls {
  readonly #options: TollsOptions;
  /** Out-of-memory kills counted before a call began, and, once it ended, during it. */
  readonly #kills = new Map<string, { readonly before: number; during?: ReturnType<OomCounter["oomKillsSince"]> }>();
  #diskBytes = 0;
  /** How large the disk was when its writers were last killed for it; and how often that was. */
  #diskKill = { bytes: 0, count: 0 };

  constructor(options: TollsOptions) {
    this.#options = options;
  }

  /** Runs a call, again when its id is known, and adds what it had to pay. */
  async during(callId: string, run: () => Promise<Omit<ExecResult, "oomKills">>): Promise<ExecResult> {
    const { counter } = this.#options;
    const kills = this.#kills.get(callId) ?? { before: counter?.oomKills() ?? 0 };
    this.#kills.set(callId, kills);
    const diskKills = this.#diskKill.count;
    const result = await run();
    kills.during ??= counter?.oomKillsSince(kills.before) ?? { own: 0, host: 0 };
    const { own, host } = kills.during;
    const overDisk = this.#diskKill.count > diskKills && result.signal !== undefined;
    return {
      ...result,
      oomKills: own,
      ...(host > 0 && { hostOomKills: host }),
      ...(overDisk && { note: this.#diskNote() }),
    };
  }

  /** Lets go of a call, and of those that begin with its id and a dot. */
  forget(callId: string): void {
    for (const known of this.#kills.keys()) {
      if (known === callId || known.startsWith(`${callId}.`)) this.#kills.delete(known);
    }
  }

  /** Told how large the disk is: above its limit, what runs is ended. */
  measured(bytes: number): void {
    const { diskMiB, killCommands } = this.#options;
    this.#diskBytes = bytes;
    if (bytes <= diskMiB * 1_048_576) this.#diskKill = { bytes: 0, count: this.#diskKill.count };
    // One that is over its limit may still tidy up: only what grows is ended.
    else if (bytes > this.#diskKill.bytes) {
      this.#diskKill = { bytes, count: this.#diskKill.count + 1 };
      killCommands();
    }
  }

  #diskNote(): string {
    const size = Number.isFinite(this.#diskBytes)
      ? `${Math.round(this.#diskBytes / 1_048_576)} MiB`
      : "too long to count";
    return `the sandbox's files took ${size}, over its limit of ${this.#options.diskMiB} MiB: what was running was ended`;
  }
}
