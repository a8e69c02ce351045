import { createHash, randomBytes } from "node:crypto";
import { type Environment, sandboxOf } from "../environments/environment.ts";
import { SandlotError } from "../errors.ts";
import type { SandboxSpec } from "../sandbox/sandbox.ts";
import type { CreateCall, Summary, TrajectoryLimits, Waiting } from "./rollouts.ts";
import { waitFor } from "./waiting.ts";
import { wireName } from "./wire-name.ts";

/** How long a Create goes on whose client went away, so that its retry finds it. */
const ORPHAN_MS = 60_000;

interface Pending {
  readonly digest: string;
  readonly call: CreateCall;
  readonly work: Promise<Summary>;
  readonly abort: AbortController;
  waiters: number;
  orphan: NodeJS.Timeout | undefined;
}

/** The Creates that still wait for a slot, an environment or a sandbox, by attempt id. */
export class Creations {
  readonly #pending = new Map<string, Pending>();

  get size(): number {
    return this.#pending.size;
  }

  /** Joins the attempt, or begins it. The work goes on while somebody waits, and a while longer. */
  async join(call: CreateCall, waiting: Waiting, begin: (signal: AbortSignal) => Promise<Summary>): Promise<Summary> {
    const digest = attemptDigest(call);
    const pending = this.#pending.get(call.attemptId) ?? this.#begin(call, digest, begin);
    if (pending.digest !== digest) throw otherAttempt(call.attemptId);
    clearTimeout(pending.orphan);
    pending.waiters += 1;
    try {
      return await waitFor(pending.work, waiting);
    } finally {
      pending.waiters -= 1;
      if (pending.waiters === 0) this.#abandon(pending);
    }
  }

  /** Takes Creates out of the queue; how many there were. `why`: what they answer. */
  cancel(which: (call: CreateCall) => boolean, why: (call: CreateCall) => SandlotError = released): number {
    const found = [...this.#pending.values()].filter(({ call }) => which(call));
    for (const { abort, call } of found) abort.abort(why(call));
    return found.length;
  }

  /** Resolves when none is under way. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#pending.values()].map(({ work }) => work));
  }

  #begin(call: CreateCall, digest: string, begin: (signal: AbortSignal) => Promise<Summary>): Pending {
    const abort = new AbortController();
    const work = begin(abort.signal).finally(() => {
      clearTimeout(pending.orphan);
      this.#pending.delete(call.attemptId);
    });
    work.catch(() => undefined); // whoever waits is told
    const pending: Pending = { digest, call, work, abort, waiters: 0, orphan: undefined };
    this.#pending.set(call.attemptId, pending);
    return pending;
  }

  #abandon(pending: Pending): void {
    const give = (): void => pending.abort.abort(new SandlotError("ended", "nobody waits for this Create any more"));
    pending.orphan = setTimeout(give, ORPHAN_MS);
    pending.orphan.unref();
  }
}

function released({ attemptId }: CreateCall): SandlotError {
  return new SandlotError("ended", `attempt "${attemptId}" was released while it waited`);
}

/** All of a Create but its attempt id. */
export function attemptDigest({ attemptId: _, ...rest }: CreateCall): string {
  return createHash("sha256").update(canonical(rest)).digest("hex");
}

export function otherAttempt(attemptId: string): SandlotError {
  const message = `attempt_id "${attemptId}" was used before for another request; a repeated Create must repeat all of it`;
  return new SandlotError("invalid", message, { field: "attempt_id" });
}

export function newSandboxId(instance: string): string {
  return `sandlot-${instance}-${randomBytes(16).toString("hex")}`;
}

/** The sandbox of a trajectory, or of anything else that works on an environment. */
export function specFor(environment: Environment, id: string, limits: TrajectoryLimits): SandboxSpec {
  const { memoryMiB, cpuMilli, pids, diskMiB } = limits;
  return {
    id,
    ...sandboxOf(environment),
    views: [],
    limits: { memoryMiB, cpuMilli, pids, diskMiB },
    network: "none",
  };
}

export interface LimitRange {
  readonly defaults: TrajectoryLimits;
  readonly least: TrajectoryLimits;
  readonly most: TrajectoryLimits;
}

/** Defaults where the client says nothing; fault `invalid` for less than a sandbox needs or more than the server allows. */
export function effectiveLimits(
  asked: Partial<TrajectoryLimits>,
  { defaults, least, most }: LimitRange,
): TrajectoryLimits {
  const entries = Object.entries(defaults).map(([name, standard]) => {
    const key = name as keyof TrajectoryLimits; // the names come from the type
    const value = asked[key] || standard;
    const field = `limits.${wireName(name)}`;
    if (value < least[key]) {
      const message = `${field}: expected at least ${least[key]}, which the runner and a shell need, got ${value}`;
      throw new SandlotError("invalid", message, { field });
    }
    refuseAbove(most[key], { field, value, knob: `limits.most.${wireName(name)}` });
    return [name, value];
  });
  return Object.fromEntries(entries) as TrajectoryLimits; // the same names
}

/** Fault `invalid` for more than the configuration allows. */
export function refuseAbove(most: number, asked: { field: string; value: number; knob: string }): void {
  const { field, value, knob } = asked;
  if (value <= most) return;
  throw new SandlotError("invalid", `${field}: expected at most ${most} (${knob}), got ${value}`, { field, knob });
}

/** JSON with sorted keys. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
