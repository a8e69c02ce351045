import type { OutputChunk } from "../sandbox.ts";
import type { DoneFrame } from "./frames.ts";
import { KeptOutput } from "./output.ts";

/** How a call ended, with the output that was kept of it. */
export interface Ending extends DoneFrame {
  readonly output: readonly OutputChunk[];
}

interface Waiter {
  readonly onOutput: ((chunk: OutputChunk) => void) | undefined;
  readonly resolve: (ending: Ending) => void;
  readonly reject: (reason: unknown) => void;
}

/** One call as this client sees it: what to send for it, again after a reconnect, and who waits for it. */
export class Call {
  readonly id: string;
  readonly #encode: (live: boolean, fromOffset: number) => Buffer[];
  readonly #output: KeptOutput;
  readonly #waiters = new Set<Waiter>();

  constructor(id: string, keepBytes: number, encode: (live: boolean, fromOffset: number) => Buffer[]) {
    this.id = id;
    this.#encode = encode;
    this.#output = new KeptOutput(keepBytes);
  }

  get isLive(): boolean {
    return [...this.#waiters].some((waiter) => waiter.onOutput !== undefined);
  }

  get isAwaited(): boolean {
    return this.#waiters.size > 0;
  }

  /** What starts the call, or attaches to it where its output stopped to come. */
  frames(live = this.isLive): Buffer[] {
    return this.#encode(live, this.#output.nextOffset);
  }

  /** Rejects with the signal's reason when that ends the waiting; `onAbandoned` then hears whether somebody still waits by asking. */
  wait(
    onOutput: ((chunk: OutputChunk) => void) | undefined,
    signal: AbortSignal | undefined,
    onAbandoned: () => void,
  ): Promise<Ending> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiters.delete(waiter);
        signal?.removeEventListener("abort", abort);
      };
      const abort = () => {
        leave();
        onAbandoned();
        reject(signal?.reason);
      };
      const waiter: Waiter = {
        onOutput,
        resolve: (ending) => {
          leave();
          resolve(ending);
        },
        reject: (reason) => {
          leave();
          reject(reason);
        },
      };
      this.#waiters.add(waiter);
      signal?.addEventListener("abort", abort, { once: true });
      for (const chunk of onOutput === undefined ? [] : this.#output.chunks) onOutput?.(chunk);
    });
  }

  hear(chunk: OutputChunk): void {
    if (chunk.offset < this.#output.nextOffset) return;
    this.#output.add(chunk);
    for (const waiter of this.#waiters) {
      try {
        waiter.onOutput?.(chunk);
      } catch (error) {
        waiter.reject(error);
      }
    }
  }

  end(done: DoneFrame): void {
    const output = this.#output.finish(done.keepBytes, done.outputBytes);
    for (const waiter of this.#waiters) waiter.resolve({ ...done, output });
  }

  fail(reason: unknown): void {
    for (const waiter of this.#waiters) waiter.reject(reason);
  }
}
