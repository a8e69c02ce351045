import { rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Turnstile } from "../turnstile.ts";
import { type Engine, EngineLate, EngineUnreachable, statusOf } from "./engine.ts";
import type { EngineWaits } from "./waits.ts";

/** How long an engine is asked again and again. */
type Patience = Pick<EngineWaits, "busyMs" | "awayMs">;

/** For those who have something else to tell. */
export const HASTY: Patience = { busyMs: 10_000, awayMs: 0 };
const ONCE: Patience = { busyMs: 0, awayMs: 0 };
const PAUSE_MS = 100;
/** How much later an engine may have made what it was asked for. */
const LATE_MS = 1_800_000;

/** Containers on their way out, with the folder that is kept of each. */
export class Remains {
  readonly #engine: Engine;
  readonly #folder: (id: string) => string;
  /** The deadline of a removal begins when its turn has come: an engine does few at a time, however many wait. */
  readonly #removals = new Turnstile(Math.max(4, 2 * availableParallelism()));
  /** Of containers that may still be there, or come: when they are looked for no more. */
  readonly #left = new Map<string, number>();

  constructor(engine: Engine, folder: (id: string) => string) {
    this.#engine = engine;
    this.#folder = folder;
  }

  /** Resolves when the engine has no container of that name; rejects, in finite time, with why it still has. It is then tried again by `sweep`. */
  async remove(id: string, patience: Patience = this.#engine.waits): Promise<void> {
    this.mayAppear(id);
    await this.#removals.pass(() => this.#gone(id, patience));
    await rm(this.#folder(id), { recursive: true, force: true });
    this.#left.delete(id);
  }

  /** An engine that was asked to make a container, and whose answer was lost, may make it yet. */
  mayAppear(id: string): void {
    this.#left.set(id, performance.now() + LATE_MS);
  }

  /** Removes what could not be removed when it was its time. */
  async sweep(): Promise<void> {
    for (const [id, untilMs] of [...this.#left]) {
      const isOver = performance.now() > untilMs;
      const isGone = await this.#removals
        .pass(() => this.#gone(id, ONCE))
        .then(
          () => true,
          () => false,
        );
      if (!isGone) continue;
      await rm(this.#folder(id), { recursive: true, force: true });
      if (isOver) this.#left.delete(id);
    }
  }

  async #gone(id: string, patience: Patience): Promise<void> {
    const container = this.#engine.docker.getContainer(id);
    const remove = () => container.remove({ force: true, v: true });
    const begun = performance.now();
    for (;;) {
      try {
        await this.#engine.act("remove a container", remove, { expected: [404] });
        return;
      } catch (error) {
        if (performance.now() - begun >= waitWith(error, patience)) throw error;
      }
      await sleep(PAUSE_MS);
    }
  }
}

function waitWith(error: unknown, { busyMs, awayMs }: Patience): number {
  if (error instanceof EngineUnreachable) return awayMs;
  const status = statusOf(error);
  return status === 409 || status === 500 || error instanceof EngineLate ? busyMs : 0;
}
