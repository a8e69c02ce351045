import { appendFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Account, ID, type Lent } from "./account.ts";
import { folderOf, readRecord, recordOf } from "./record.ts";

export interface RemainsOptions {
  readonly account: Account;
  readonly stateDir: string;
  /** US dollars for a second of a machine. */
  readonly pricePerS: number;
}

/** Machines on their way out, with what is written down of them. */
export class Remains {
  readonly #options: RemainsOptions;
  /** Machines that could not be ended. */
  readonly #strays = new Set<string>();
  /** Sandboxes that could not be removed, or are being so. */
  readonly #stuck = new Set<string>();
  readonly #removing = new Map<string, Promise<void>>();
  #sweeping: Promise<void> | undefined;

  constructor(options: RemainsOptions) {
    this.#options = options;
  }

  /** Resolves when the service has no machine of that sandbox; after a failure it is tried again by `sweep`. */
  remove(id: string): Promise<void> {
    this.#stuck.add(id);
    const removing = this.#removing.get(id) ?? this.#remove(id).finally(() => this.#removing.delete(id));
    this.#removing.set(id, removing);
    return removing;
  }

  /** The same for who has something else to tell than why it failed. */
  isRemoved(id: string): Promise<boolean> {
    return this.remove(id).then(
      () => true,
      () => false,
    );
  }

  /** Nobody makes the life of such a one longer. */
  isStuck(id: string): boolean {
    return this.#stuck.has(id);
  }

  /** Ends a machine, later if need be. */
  async kill(sandboxId: string): Promise<void> {
    await this.#options.account.kill(sandboxId).then(
      () => this.#strays.delete(sandboxId),
      () => this.#strays.add(sandboxId),
    );
  }

  /** Tries again what could not be done when it was its time. `dispose` does it for sandboxes that somebody holds. */
  sweep(dispose: (id: string) => Promise<unknown> | undefined): Promise<void> {
    this.#sweeping ??= this.#sweep(dispose).finally(() => {
      this.#sweeping = undefined;
    });
    return this.#sweeping;
  }

  /** Writes down what a machine cost. */
  reckon(id: string, { sandboxId }: Lent, startedAt: number): void {
    const { pricePerS, stateDir } = this.#options;
    const seconds = (Date.now() - startedAt) / 1_000;
    const line = { id, sandboxId, seconds, usd: seconds * pricePerS };
    appendFileSync(join(stateDir, "e2b-costs.jsonl"), `${JSON.stringify(line)}\n`, { mode: 0o600 });
  }

  async #remove(id: string): Promise<void> {
    const { account, stateDir } = this.#options;
    const record = readRecord(recordOf(stateDir, id));
    if (record?.lent !== undefined) await account.kill(record.lent.sandboxId);
    // One whose answer was lost is found by its name only.
    const lost = record?.lent === undefined || account.isUncertain(id) ? await account.find({ [ID]: id }) : [];
    for (const { sandboxId } of lost) await account.kill(sandboxId);
    if (record?.lent !== undefined) this.reckon(id, record.lent, record.startedAt);
    await rm(folderOf(stateDir, id), { recursive: true, force: true });
    this.#stuck.delete(id);
  }

  async #sweep(dispose: (id: string) => Promise<unknown> | undefined): Promise<void> {
    for (const stray of this.#strays) await this.kill(stray);
    for (const id of this.#stuck) await (dispose(id)?.catch(() => undefined) ?? this.isRemoved(id));
  }
}
