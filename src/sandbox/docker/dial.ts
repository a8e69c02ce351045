import { setTimeout as sleep } from "node:timers/promises";
import type { Container } from "dockerode";
import { SandlotError } from "../../errors.ts";
import { byteStreamDial } from "../runner/byte-stream.ts";
import { type Dial, RunnerGone, type Stream } from "../runner/line.ts";
import { Attached } from "./attached.ts";
import { type Engine, EngineUnreachable, statusOf } from "./engine.ts";
import { upgrade } from "./upgrade.ts";

/** How long a container may stand still while somebody wants to reach it. */
const PAUSED_MS = 600_000;

/** Dials the runner that is the first process of a container. Waits for an engine that is away, and while the container is paused; rejects with `RunnerGone` when it does not run any more. */
export function containerDial(engine: Engine, container: Container, secret: Uint8Array): Dial {
  return byteStreamDial(() => attachTo(engine, container), secret);
}

async function attachTo(engine: Engine, container: Container): Promise<Stream> {
  const begun = performance.now();
  for (;;) {
    try {
      const state = await stateOf(engine, container);
      if (state === "gone") throw new RunnerGone("the container does not run any more");
      if (state === "running") return await attach(engine, container);
      if (performance.now() - begun > PAUSED_MS) {
        throw new SandlotError("sandbox", `the container has been paused for ${PAUSED_MS} ms`);
      }
    } catch (error) {
      const isBetween = statusOf(error) === 404 || statusOf(error) === 409;
      const isAway = error instanceof EngineUnreachable && performance.now() - begun < engine.waits.awayMs;
      if (!isBetween && !isAway) throw error;
    }
    await sleep(100);
  }
}

async function stateOf(engine: Engine, container: Container): Promise<"running" | "paused" | "gone"> {
  try {
    const { State } = await engine.read("look at a container", (abortSignal) => container.inspect({ abortSignal }));
    if (State.Paused) return "paused";
    return State.Running ? "running" : "gone";
  } catch (error) {
    if (statusOf(error) === 404) return "gone";
    throw error;
  }
}

async function attach(engine: Engine, container: Container): Promise<Stream> {
  const path = `/containers/${container.id}/attach?stream=true&stdin=true&stdout=true&stderr=true`;
  const begin = (signal: AbortSignal) => upgrade(engine.docker, path, signal);
  const socket = await engine.act("attach to a container", begin, { timeoutMs: engine.waits.readMs });
  if (socket === undefined) throw new Error("a connection was expected");
  return new Attached(socket);
}
