/** What a preparation tells those who wait for it. */
export interface Progress {
  /** A short stable word: `waiting`, `checkout`, `interpreter`, `packages`, `setup`, `seal`, `publish`. */
  readonly stage: string;
  readonly message: string;
  /** 0 to 1 where it is known. */
  readonly fraction?: number;
}

export interface Waiter {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export type Work<T> = (signal: AbortSignal, report: (progress: Progress) => void) => Promise<T>;

interface Flight<T> {
  readonly result: Promise<T>;
  readonly controller: AbortController;
  readonly waiters: Set<Waiter>;
  last: Progress | undefined;
}

/**
 * Work that runs once per key however many ask for it at the same time. A waiter's cancellation ends its own waiting only;
 * when the last one has gone the work is cancelled, and who asks then starts anew once it has cleaned up. Results are not kept.
 */
export class Flights<T> {
  readonly #flights = new Map<string, Flight<T>>();

  async join(key: string, work: Work<T>, waiter: Waiter = {}): Promise<T> {
    waiter.signal?.throwIfAborted();
    for (let dying = this.#flights.get(key); dying?.controller.signal.aborted; dying = this.#flights.get(key)) {
      await dying.result.catch(() => {});
      waiter.signal?.throwIfAborted();
    }
    const flight = this.#flights.get(key) ?? this.#start(key, work);
    // A key of its own per call: the same waiter object may come twice.
    const seat: Waiter = { ...waiter };
    flight.waiters.add(seat);
    if (flight.last) seat.onProgress?.(flight.last);
    try {
      return await untilAborted(flight.result, seat.signal);
    } finally {
      flight.waiters.delete(seat);
      if (flight.waiters.size === 0) flight.controller.abort(new Error("nobody waits for this preparation any more"));
    }
  }

  #start(key: string, work: Work<T>): Flight<T> {
    const controller = new AbortController();
    const waiters = new Set<Waiter>();
    const report = (progress: Progress): void => {
      flight.last = progress;
      for (const waiter of waiters) waiter.onProgress?.(progress);
    };
    // Starts in a later turn, so that `flight` exists and its waiter sits before the first report.
    const result = Promise.resolve()
      .then(() => work(controller.signal, report))
      .finally(() => this.#flights.delete(key));
    result.catch(() => {});
    const flight: Flight<T> = { result, controller, waiters, last: undefined };
    this.#flights.set(key, flight);
    return flight;
  }
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  return promise;
}
