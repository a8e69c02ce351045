import { SandlotError } from "../errors.ts";
import type { LiveOutput } from "./live-output.ts";
import { SerialQueue } from "./queue.ts";
import type { Waiting } from "./rollouts.ts";
import { Bell, waitFor } from "./waiting.ts";

/** What identifies the work of a call. */
export interface About {
  /** Key in the ledger. */
  readonly key: string;
  readonly digest: string;
  /** As the client gave it, for messages. */
  readonly callId: string;
  readonly output?: LiveOutput;
}

/** The number a call must have. */
export interface Fence {
  /** 0 = any. */
  readonly at: number;
  readonly next: () => number;
  readonly what: "step" | "turn";
}

/** An early call waits so long for its predecessor. */
const EARLY_MS = 60_000;
/** So much of its caller's time is left then, or half of it. */
const ANSWER_MS = 2_000;

export interface CallsParts {
  /** The digest of a key that the ledger has. */
  readonly digestOf: (key: string) => string | undefined;
  /** Throws `ended` when nothing may begin any more. */
  readonly refuseEnded: () => void;
  /** Told of every failure of work. */
  readonly failed: (error: unknown) => void;
}

/** The calls of one trajectory: each begun once, in one serial queue; repeated ones attach; early ones wait for their turn. */
export class Calls {
  readonly #parts: CallsParts;
  readonly #queue = new SerialQueue();
  readonly #inFlight = new Map<string, { readonly about: Omit<About, "callId">; readonly work: Promise<unknown> }>();
  readonly #bell = new Bell();
  #attached = 0;

  constructor(parts: CallsParts) {
    this.#parts = parts;
  }

  /** Clients that wait for an answer now. */
  get attached(): number {
    return this.#attached;
  }

  /** Work that is queued or running. */
  get length(): number {
    return this.#queue.length;
  }

  idle(): Promise<void> {
    return this.#queue.idle();
  }

  /** Attaches to the work of the call, or begins it when its turn has come: `prepare` is called when it joins the queue and gives what runs then. */
  carryOut<T>(
    waiting: Waiting,
    about: About & { readonly fence?: Fence },
    prepare: () => () => Promise<T>,
  ): Promise<T> {
    return this.#attach(async () => {
      const now = performance.now();
      // What it is told then has time to reach its caller.
      const until = Math.min(now + EARLY_MS, waiting.deadline - Math.min(ANSWER_MS, (waiting.deadline - now) / 2));
      for (;;) {
        const running = this.#known<T>(about);
        if (running) return waitFor(running, waiting);
        this.#parts.refuseEnded();
        if (this.#parts.digestOf(about.key) !== undefined || !about.fence || inOrder(about.fence))
          return waitFor(this.launch(about, prepare()), waiting);
        const rung = await this.#bell.next(until - performance.now(), waiting.signal);
        waiting.signal.throwIfAborted();
        if (!rung) throw outOfOrder(about.fence);
      }
    });
  }

  /** The same for work that needs no turn. */
  besides<T>(waiting: Waiting, about: About, work: () => Promise<T>): Promise<T> {
    return this.#attach(() => waitFor(this.#known<T>(about) ?? this.#track(about, work()), waiting));
  }

  /** Queues work that nobody waits for yet. What still waits when the trajectory ends is not begun. */
  launch<T>(about: Omit<About, "callId">, work: () => Promise<T>): Promise<T> {
    const guarded = async (): Promise<T> => {
      this.#parts.refuseEnded();
      try {
        return await work();
      } catch (error) {
        this.#parts.failed(error);
        throw error;
      }
    };
    return this.#track(about, this.#queue.run(guarded));
  }

  /** The live output of a call that waits or runs; undefined once its result is there. */
  async outputOf(key: string, result: Promise<unknown>): Promise<LiveOutput | undefined> {
    const over = new AbortController();
    const settled = (): void => over.abort();
    result.then(settled, settled);
    for (;;) {
      const found = this.#inFlight.get(key)?.about.output;
      if (found || over.signal.aborted) return found;
      await this.#bell.next(EARLY_MS, over.signal);
    }
  }

  async #attach<T>(wait: () => Promise<T>): Promise<T> {
    this.#attached += 1;
    try {
      return await wait();
    } finally {
      this.#attached -= 1;
    }
  }

  #known<T>({ key, digest, callId }: About): Promise<T> | undefined {
    const running = this.#inFlight.get(key);
    const found = running?.about.digest ?? this.#parts.digestOf(key);
    if (found === undefined || found === digest) return running?.work as Promise<T> | undefined; // one key, one kind of work
    const message = `call_id "${callId}" was used before with other arguments; a repeated call must repeat them`;
    throw new SandlotError("invalid", message, { field: "call_id" });
  }

  #track<T>(about: Omit<About, "callId">, work: Promise<T>): Promise<T> {
    this.#inFlight.set(about.key, { about, work });
    const settled = (): void => {
      this.#inFlight.delete(about.key);
      this.#bell.ring();
    };
    work.then(settled, settled);
    this.#bell.ring();
    return work;
  }
}

function inOrder(fence: Fence): boolean {
  const next = fence.next();
  if (fence.at !== 0 && fence.at < next) throw outOfOrder(fence);
  return fence.at === 0 || fence.at === next;
}

function outOfOrder({ at, next, what }: Fence): SandlotError {
  return new SandlotError("out_of_order", `expected ${what} to be ${next()} (the next one) or 0 (any), got ${at}`, {
    field: what,
  });
}
