import type { Ledger } from "./ledger.ts";
import type { Budget, TrajectoryLimits } from "./rollouts.ts";

/** What a trajectory may still use. Wall time counts from the ready sandbox and stands still while no server runs. */
export class Meter {
  readonly #limits: TrajectoryLimits;
  readonly #ledger: Ledger;
  readonly #usedBeforeMs: number;
  readonly #since = performance.now();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
    this.#limits = ledger.created.limits;
    this.#usedBeforeMs = Math.max(0, ledger.lastAt - ledger.created.at);
  }

  wallUsedMs(): number {
    return Math.round(this.#usedBeforeMs + performance.now() - this.#since);
  }

  left(): Budget {
    return {
      steps: Math.max(0, this.#limits.maxSteps - this.#ledger.lastStep),
      turns: Math.max(0, this.#limits.maxTurns - this.#ledger.turns),
      wallMs: Math.max(0, this.#limits.wallMs - this.wallUsedMs()),
    };
  }
}

/** Why no further step may run, in words; undefined = one may. */
export function spent(left: Budget, limits: TrajectoryLimits): string | undefined {
  if (left.steps === 0) return `all ${limits.maxSteps} steps are used`;
  if (left.wallMs === 0) return `all ${Math.round(limits.wallMs / 1000)} s of wall time are used`;
  return undefined;
}

/** True when this budget allows no more, as Gymnasium's `truncated`. Turns count only for those who use them. */
export function exhausted(left: Budget): boolean {
  return left.steps === 0 || left.wallMs === 0 || left.turns === 0;
}
