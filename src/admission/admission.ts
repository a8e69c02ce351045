import { SandlotError } from "../errors.ts";
import { type Group, Line, type Waiter } from "./line.ts";

export interface PoolOptions {
  readonly slots: number;
  /** How many may wait; more are told to come back. */
  readonly queue: number;
  /** The higher is served first; equals take turns. */
  readonly priority: number;
}

export interface AdmissionOptions {
  readonly pools: Readonly<Record<string, PoolOptions>>;
  /** Slots of all pools together. */
  readonly total: number;
  /** How many more this host can bear now; asked before each admission. When nothing runs, the next one or the next gang is admitted all the same. */
  readonly headroom?: () => number;
  /** How long an incomplete group is waited for, in milliseconds. */
  readonly groupPatienceMs?: number;
}

export interface Request {
  /** Empty = "default". */
  readonly pool: string;
  readonly group?: Group;
  readonly key: string;
  /** Owners in a pool take turns, so that one client's hundreds do not hold up another's few. */
  readonly owner?: string;
  readonly signal?: AbortSignal;
}

/** A slot in use. `release` is idempotent. */
export interface Lease {
  release(): void;
}

export interface PoolUse {
  readonly slots: number;
  readonly used: number;
  readonly queued: number;
}

/** Looks again at the host's headroom so often while somebody waits for nothing else. */
const LOOK_AGAIN_MS = 250;

/**
 * Slots in pools. Who finds no slot waits in a bounded line: pools by priority, owners within a pool by turns. A group whose size is known is admitted together or waits together; when it is still incomplete after the
 * group's patience, what came is admitted; who comes later goes alone.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #lines: ReadonlyMap<string, Line>;
  readonly #used = new Map<string, number>();
  /** When slots were freed lately, for the advice when to come back. */
  readonly #freed: number[] = [];
  #again: NodeJS.Timeout | undefined;
  #turn = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    const patienceMs = options.groupPatienceMs ?? 30_000;
    const look = (): void => this.#admit();
    this.#lines = new Map(Object.keys(options.pools).map((name) => [name, new Line(patienceMs, look)]));
  }

  /** Faults `invalid` (no such pool, a group larger than it), `busy` (the line is full); the signal's reason when it fires first. */
  async acquire(request: Request): Promise<Lease> {
    request.signal?.throwIfAborted();
    const pool = request.pool || "default";
    const { slots, queue } = this.#poolOf(pool);
    const line = this.#lineOf(pool);
    const size = request.group?.size ?? 0;
    const most = Math.min(slots, this.#options.total);
    if (size > most)
      throw new SandlotError(
        "invalid",
        `expected group.size to be at most the ${most} slots of pool "${pool}", got ${size}`,
        {
          field: "group.size",
          knob: `pools.${pool}.slots`,
        },
      );
    if (!line.takes(request.group, queue) && !this.#free(pool)) throw this.#busy(pool, line.length);
    await this.#wait(line, request);
    return this.#lease(pool);
  }

  /** Takes a slot at once, above the bound if need be: for what is alive already. */
  adopt({ pool }: Pick<Request, "pool" | "key">): Lease {
    const name = this.#lines.has(pool || "default") ? pool || "default" : [...this.#lines.keys()][0];
    this.#count(name ?? "default", 1);
    return this.#lease(name ?? "default");
  }

  stats(): Readonly<Record<string, PoolUse>> {
    const use = [...this.#lines].map(([name, line]) => [
      name,
      { slots: this.#poolOf(name).slots, used: this.#used.get(name) ?? 0, queued: line.length },
    ]);
    return Object.fromEntries(use) as Record<string, PoolUse>; // name and use of each
  }

  #wait(line: Line, { group, owner, signal }: Request): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { owner: owner ?? "", ...(group ? { group } : {}), admit: resolve };
    const leave = (): void => {
      line.leave(waiter);
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", leave, { once: true });
    line.join(waiter);
    this.#admit();
    return promise.finally(() => signal?.removeEventListener("abort", leave));
  }

  /** Serves whoever may go now. Who does not fit, but for others' slots or the host's memory, holds back the pools behind it: a large gang is not overtaken for ever. */
  #admit(): void {
    let host = this.#options.headroom?.() ?? Number.POSITIVE_INFINITY;
    for (let served = true; served; ) {
      served = false;
      for (const name of this.#order()) {
        const line = this.#lineOf(name);
        const party = line.next(this.#room(name, host));
        if (party.length > 0) {
          this.#count(name, party.length);
          host -= party.length;
          for (const waiter of party) waiter.admit();
          this.#turn += 1;
          served = true;
        }
        if (party.length > 0 || (line.wants > 0 && line.wants <= this.#roomInPool(name))) break;
      }
    }
    this.#lookAgain();
  }

  /** Memory comes and goes without an event: look again while somebody waits and slots alone would do. */
  #lookAgain(): void {
    clearTimeout(this.#again);
    this.#again = undefined;
    if (!this.#options.headroom || [...this.#lines.values()].every((line) => line.length === 0)) return;
    this.#again = setTimeout(() => this.#admit(), LOOK_AGAIN_MS);
    this.#again.unref();
  }

  /** Pools with somebody waiting: higher priority first, equals by turns. */
  #order(): string[] {
    const names = [...this.#lines].filter(([, line]) => line.length > 0).map(([name]) => name);
    const turned = names.map((_, index) => names[(index + this.#turn) % names.length] ?? "");
    return turned.toSorted((a, b) => this.#poolOf(b).priority - this.#poolOf(a).priority);
  }

  #room(pool: string, headroom: number): number {
    const used = [...this.#used.values()].reduce((sum, count) => sum + count, 0);
    const host = used === 0 ? Number.POSITIVE_INFINITY : headroom;
    return Math.max(0, Math.min(this.#roomInPool(pool), this.#options.total - used, host));
  }

  #roomInPool(pool: string): number {
    return this.#poolOf(pool).slots - (this.#used.get(pool) ?? 0);
  }

  #free(pool: string): boolean {
    return (
      this.#lineOf(pool).length === 0 && this.#room(pool, this.#options.headroom?.() ?? Number.POSITIVE_INFINITY) > 0
    );
  }

  #lease(pool: string): Lease {
    let held = true;
    return {
      release: () => {
        if (!held) return;
        held = false;
        this.#freed.push(performance.now());
        if (this.#freed.length > 50) this.#freed.shift();
        this.#count(pool, -1);
        this.#admit();
      },
    };
  }

  #count(pool: string, by: number): void {
    this.#used.set(pool, (this.#used.get(pool) ?? 0) + by);
  }

  #poolOf(name: string): PoolOptions {
    const pool = Object.hasOwn(this.#options.pools, name) ? this.#options.pools[name] : undefined;
    if (pool) return pool;
    const known = Object.keys(this.#options.pools).join(", ");
    throw new SandlotError("invalid", `expected pool to be one of ${known}, got "${name.slice(0, 64)}"`, {
      field: "pool",
      knob: "pools",
    });
  }

  #lineOf(name: string): Line {
    this.#poolOf(name);
    return this.#lines.get(name) as Line; // made of the same names
  }

  /** Advice by the rate at which slots were freed lately, with some jitter so that not all come back at once. */
  #busy(pool: string, waiting: number): SandlotError {
    const [first] = this.#freed;
    const spanMs = first === undefined ? 0 : performance.now() - first;
    const eachMs = this.#freed.length > 1 ? spanMs / this.#freed.length : 100;
    const retryAfterMs = Math.round(
      Math.min(30_000, Math.max(500, (eachMs * waiting) / 4)) * (0.75 + Math.random() / 2),
    );
    const message = `pool "${pool}" is full and ${waiting} wait already`;
    return new SandlotError("busy", message, { retryAfterMs, field: "pool", knob: `pools.${pool}.queue` });
  }
}
