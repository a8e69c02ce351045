import { setTimeout as sleep } from "node:timers/promises";
import type { Container } from "dockerode";
import { type Engine, statusOf } from "./engine.ts";

const AGAIN_MS = 100;

/** Resolves when everything in the container stands still. Its runtime gives up after some thousandths of a second, too few for a process that waits for a disk or a host that is hard pressed: it is asked again. */
export async function pause(engine: Engine, container: Container): Promise<void> {
  for (const end = performance.now() + engine.waits.verbMs; ; await sleep(AGAIN_MS)) {
    try {
      await engine.act("pause a container", () => container.pause());
      return;
    } catch (error) {
      // What an engine says of it may not be what it did, or has done before.
      if (await isPaused(engine, container).catch(() => false)) return;
      const isHasty = error instanceof Error && /unable to freeze/.test(error.message);
      if (isHasty && performance.now() < end) continue;
      await engine.act("unpause a container", () => container.unpause()).catch(() => undefined);
      throw error;
    }
  }
}

/** Resolves when the container does not stand still any more; it may also be gone. */
export async function goOn(engine: Engine, container: Container): Promise<void> {
  for (const end = performance.now() + engine.waits.verbMs; ; await sleep(AGAIN_MS)) {
    try {
      await engine.act("unpause a container", () => container.unpause(), { expected: [404] });
      return;
    } catch (error) {
      if (!(await isPaused(engine, container).catch(() => true))) return;
      if (performance.now() > end) throw error;
    }
  }
}

async function isPaused(engine: Engine, container: Container): Promise<boolean> {
  try {
    return (await engine.read("look at a container", () => container.inspect())).State.Paused;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw error;
  }
}
