import { setTimeout as sleep } from "node:timers/promises";
import { SandlotError } from "../../errors.ts";

/** What an account may do at once and in a time. */
export interface GateOptions {
  /** Sandboxes alive at once, those that are being made too. */
  readonly maxSandboxes: number;
  readonly createsPerSecond: number;
}

/** How long a create waits for a place. */
const PATIENCE_MS = 600_000;

/** Who makes a sandbox waits here, first come first served, so that the account's own limits are not run into. */
export class Gate {
  readonly #options: GateOptions;
  readonly #waiting: (() => void)[] = [];
  #taken = 0;
  /** When the next create may begin. */
  #nextMs = 0;

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** Resolves with a place; who calls the answer, once, gives it back. Fault `busy` when none came free in time. */
  async enter(signal?: AbortSignal): Promise<() => void> {
    if (this.#taken < this.#options.maxSandboxes) return this.hold();
    const late = AbortSignal.timeout(PATIENCE_MS);
    const stop = signal === undefined ? late : AbortSignal.any([signal, late]);
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(take), 1);
        signal?.throwIfAborted();
        reject(this.#full());
      };
      const refuse = (): void => {
        try {
          leave();
        } catch (error) {
          reject(error);
        }
      };
      const take = (): void => {
        stop.removeEventListener("abort", refuse);
        resolve();
      };
      stop.addEventListener("abort", refuse, { once: true });
      this.#waiting.push(take);
    });
    return this.#handedOver();
  }

  /** A place for what exists already, free or not. */
  hold(): () => void {
    this.#taken += 1;
    return this.#handedOver();
  }

  /** Resolves when another create may be asked for. */
  async pace(signal?: AbortSignal): Promise<void> {
    const intervalMs = 1_000 / this.#options.createsPerSecond;
    const now = performance.now();
    const at = Math.max(now, this.#nextMs);
    this.#nextMs = at + intervalMs;
    const jitterMs = at > now ? Math.random() * 0.2 * intervalMs : 0;
    if (at + jitterMs > now) await sleep(at + jitterMs - now, undefined, signal && { signal });
  }

  /** After the service said that there were too many: nobody begins for so long. */
  holdBack(ms: number): void {
    this.#nextMs = Math.max(this.#nextMs, performance.now() + ms);
  }

  #handedOver(): () => void {
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const next = this.#waiting.shift();
      if (next === undefined) this.#taken -= 1;
      else next();
    };
  }

  #full(): SandlotError {
    const { maxSandboxes } = this.#options;
    const words = `all ${maxSandboxes} sandboxes that the account may have are in use, and none came free in ${PATIENCE_MS / 1_000} s`;
    return new SandlotError("busy", words, { knob: "backend.max_sandboxes", retryAfterMs: 5_000 });
  }
}
