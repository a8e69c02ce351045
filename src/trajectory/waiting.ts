import type { Waiting } from "./rollouts.ts";

/** Waits for work that goes on whether somebody waits or not. The rejection of an end of waiting is the signal's own reason. */
export async function waitFor<T>(work: Promise<T>, { signal }: Pick<Waiting, "signal">): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", stop);
    work.catch(() => undefined); // when nobody waits any more, the journal has the answer
  }
}

/** An answer that is known waits no longer for a sandbox that a slow disk keeps from being removed. */
export const GONE_MS = 2_000;

/** True when the work is done in time; it goes on in any case. */
export async function settled(work: Promise<unknown>, withinMs: number): Promise<boolean> {
  const late = Promise.withResolvers<false>();
  const timer = setTimeout(() => late.resolve(false), withinMs);
  try {
    return await Promise.race([work.then(() => true), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** A condition that changes now and then, and those who wait for it. */
export class Bell {
  #waiters = new Set<() => void>();

  ring(): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
  }

  /** Resolves with true at the next ring, with false after `ms` or when the signal fires. */
  next(ms: number, signal?: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (rung: boolean): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", stop);
        this.#waiters.delete(wake);
        resolve(rung);
      };
      const wake = (): void => settle(true);
      const stop = (): void => settle(false);
      const timer = setTimeout(stop, Math.max(0, Math.min(ms, 2 ** 31 - 1)));
      this.#waiters.add(wake);
      if (signal?.aborted) stop();
      else signal?.addEventListener("abort", stop, { once: true });
    });
  }
}
