import { randomBytes } from "node:crypto";
import type { Backend, Sandbox, SandboxSpec } from "./sandbox.ts";

export interface WarmPoolOptions {
  readonly backend: Backend;
  /** How many stand ready for each kind of sandbox that was lately asked for. */
  readonly perEnvironment: number;
  /** How many stand ready in all. */
  readonly total: number;
  /** Called when one cannot be made ahead (the next `take` of its kind tries again) or cannot be removed. */
  readonly failed?: (error: unknown) => void;
}

/** Called with each sandbox that is made for those who say so, ahead of time or not. */
export type Made = (sandbox: Sandbox) => void;

interface Kind {
  readonly spec: SandboxSpec;
  /** Of whoever took one last and said so. */
  made: Made | undefined;
  readonly ready: Sandbox[];
  /** One could not be made: not tried again until one is asked for. */
  failed: boolean;
}

/**
 * Sandboxes made ahead of time. Those are alike that differ in their id only; which kinds are kept follows what is taken, the least recently taken goes first.
 * It makes one at a time, behind the back of whoever waits.
 */
export class WarmPool {
  readonly #options: WarmPoolOptions;
  /** Least recently taken first. */
  readonly #kinds = new Map<string, Kind>();
  #filling: Promise<void> | undefined;
  #refill: NodeJS.Timeout | undefined;
  readonly #stop = new AbortController();
  /** On their way out. */
  readonly #going = new Set<Promise<void>>();
  /** Could not be removed. */
  readonly #stuck = new Set<Sandbox>();

  constructor(options: WarmPoolOptions) {
    this.#options = options;
  }

  /** A sandbox as `spec` says but for its id, at once; undefined when none is ready. The caller disposes it. */
  async take(spec: SandboxSpec, made?: Made): Promise<Sandbox | undefined> {
    if (this.#stop.signal.aborted || this.#options.perEnvironment === 0) return undefined;
    const key = keyOf(spec);
    const kind: Kind = this.#kinds.get(key) ?? { spec, made, ready: [], failed: false };
    kind.made = made ?? kind.made;
    kind.failed = false;
    this.#kinds.delete(key);
    this.#kinds.set(key, kind);
    this.#forgetEmpty();
    let taken: Sandbox | undefined;
    for (let next = kind.ready.shift(); next !== undefined && taken === undefined; ) {
      if (await next.alive()) taken = next;
      else {
        void this.discard(next);
        next = kind.ready.shift();
      }
    }
    this.#refill ??= setTimeout(() => this.#fill(), REFILL_MS);
    return taken;
  }

  /** What `take` gives, or one that is made now. An abort leaves nothing and rejects with the signal's reason. The caller disposes it, or has it discarded. */
  async obtain(spec: SandboxSpec, signal: AbortSignal, made?: Made): Promise<Sandbox> {
    const sandbox = (await this.take(spec, made)) ?? (await this.#make(spec, made, signal));
    if (!signal.aborted) return sandbox;
    await this.discard(sandbox);
    throw signal.reason;
  }

  /**
   * Removes a sandbox, made here or not, behind the back of whoever is done with it; `settled` and `drain` wait for it. Does not throw: one that cannot be removed is told of, `drain` tries once
   * more, and the next start finds what then is left.
   */
  discard(sandbox: Sandbox): Promise<void> {
    const going = sandbox.dispose().then(
      () => void this.#stuck.delete(sandbox),
      (error: unknown) => {
        this.#stuck.add(sandbox);
        this.#options.failed?.(error);
      },
    );
    this.#going.add(going);
    return going.finally(() => this.#going.delete(going));
  }

  /** Resolves when all that was discarded until now is gone. */
  async settled(): Promise<void> {
    await Promise.all(this.#going);
  }

  get size(): number {
    return [...this.#kinds.values()].reduce((sum, kind) => sum + kind.ready.length, 0);
  }

  /** Removes those that lie on a ground, and forgets their kinds: before the ground itself is removed. */
  async drop(ground: Ground): Promise<void> {
    for (const [key, { spec, ready }] of [...this.#kinds]) {
      if (!liesOn(spec, ground)) continue;
      this.#kinds.delete(key);
      await Promise.all(ready.splice(0).map((sandbox) => this.discard(sandbox)));
    }
  }

  /** Removes all, and makes no more ahead. Resolves when they, and what was discarded, are gone. */
  async drain(): Promise<void> {
    this.#stop.abort(new Error("the warm pool is drained"));
    clearTimeout(this.#refill);
    await this.#filling;
    const all = [...this.#kinds.values()].flatMap((kind) => kind.ready.splice(0));
    this.#kinds.clear();
    await Promise.all([...all, ...this.#stuck].map((sandbox) => this.discard(sandbox)));
    await this.settled();
  }

  async #make(spec: SandboxSpec, made: Made | undefined, signal: AbortSignal): Promise<Sandbox> {
    const sandbox = await this.#options.backend.create(spec, signal);
    made?.(sandbox);
    return sandbox;
  }

  #fill(): void {
    this.#refill = undefined;
    this.#filling ??= this.#fillAll().finally(() => {
      this.#filling = undefined;
    });
  }

  async #fillAll(): Promise<void> {
    for (let kind = this.#neediest(); kind !== undefined; kind = this.#neediest()) {
      try {
        if (this.size >= this.#options.total) await this.#dropOldest(kind);
        kind.ready.push(await this.#make(withNewId(kind.spec), kind.made, this.#stop.signal));
      } catch (error) {
        kind.failed = true;
        if (!this.#stop.signal.aborted) this.#options.failed?.(error);
      }
    }
  }

  /** The most recently taken kind that lacks one, as long as there is room or an older kind to take it from. */
  #neediest(): Kind | undefined {
    if (this.#stop.signal.aborted) return undefined;
    const recent = [...this.#kinds.values()].reverse();
    const room = Math.floor(this.#options.total / Math.max(1, this.#options.perEnvironment));
    return recent.slice(0, Math.max(1, room)).find((kind) => !kind.failed && kind.ready.length < this.#wanted());
  }

  #wanted(): number {
    return Math.min(this.#options.perEnvironment, this.#options.total);
  }

  async #dropOldest(but: Kind): Promise<void> {
    const [key, oldest] = [...this.#kinds].find(([, kind]) => kind !== but && kind.ready.length > 0) ?? [];
    if (key === undefined || oldest === undefined) return;
    this.#kinds.delete(key);
    await Promise.all(oldest.ready.splice(0).map((sandbox) => this.discard(sandbox)));
  }

  /** Kinds that nothing is kept for need not be remembered for ever. */
  #forgetEmpty(): void {
    for (const [key, kind] of this.#kinds) {
      if (this.#kinds.size <= MAX_KINDS) return;
      if (kind.ready.length === 0) this.#kinds.delete(key);
    }
  }
}

/** Layers, or where there are none the root file system alone. */
type Ground = Pick<SandboxSpec, "rootfs" | "layers">;

function liesOn({ rootfs, layers }: Ground, ground: Ground): boolean {
  if (ground.layers.length > 0) return layers.some((layer) => ground.layers.includes(layer));
  return layers.length === 0 && JSON.stringify(rootfs) === JSON.stringify(ground.rootfs);
}

const MAX_KINDS = 256;
/** Whoever takes one is answered before the next is made. */
const REFILL_MS = 10;

function keyOf({ id: _, env, ...rest }: SandboxSpec): string {
  const sorted = Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([sorted, Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

function withNewId(spec: SandboxSpec): SandboxSpec {
  return { ...spec, id: spec.id.replace(/[0-9a-f]{32}$/, randomBytes(16).toString("hex")) };
}
