import { Agent } from "node:http";
import { Readable } from "node:stream";
import Docker from "dockerode";
import { SandlotError } from "../../errors.ts";
import type { EngineWaits } from "./waits.ts";

/** A container engine that speaks Docker's API (Docker, or Podman's socket). Every call ends in finite time, also where the engine died in the middle of its answer. */
export class Engine {
  readonly docker: Docker;
  /** As the settings or the environment name it. */
  readonly place: string;
  readonly waits: EngineWaits;
  readonly #agent: Agent;

  /** `socket`: a path, also as `unix://`; empty: what `DOCKER_HOST` and its like say, as Docker's own tools read them, or else the usual place. */
  constructor(socket: string, waits: EngineWaits) {
    this.waits = waits;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 256 });
    const path = socket.replace(/^unix:\/\//, "");
    // Typed without the agent. What is undefined must not come from the environment.
    const chosen = {
      host: undefined,
      port: undefined,
      protocol: "http" as const,
      socketPath: path,
      agent: this.#agent,
    };
    this.docker = path === "" ? new Docker() : new Docker(chosen as object);
    const { socketPath, host } = this.docker.modem as { readonly socketPath?: unknown; readonly host?: unknown }; // untyped
    this.place =
      ([path, host, socketPath].find((name) => typeof name === "string" && name !== "") as string) ?? "its usual place";
  }

  /** Asks for something that may be asked for again: once more where the connection broke, as one that was kept too long does. */
  async read<T>(what: string, ask: (abortSignal: AbortSignal) => Promise<T>): Promise<T> {
    const once = async (): Promise<T> => legible(await this.#bounded(what, ask, this.waits.readMs));
    try {
      return await once();
    } catch (error) {
      if (!BROKEN.has(codeOf(error))) throw this.#told(what, error);
    }
    return once().catch((error: unknown) => {
      throw this.#told(what, error);
    });
  }

  /** `expected`: status codes that are as good as success; the answer is then undefined. */
  async act<T>(
    what: string,
    work: (abortSignal: AbortSignal) => Promise<T>,
    {
      expected = [],
      timeoutMs = this.waits.verbMs,
    }: { readonly expected?: readonly number[]; readonly timeoutMs?: number } = {},
  ): Promise<T | undefined> {
    try {
      return await this.#bounded(what, work, timeoutMs);
    } catch (error) {
      const status = statusOf(error);
      if (status !== undefined && expected.includes(status)) return undefined;
      throw this.#told(what, error);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #bounded<T>(what: string, work: (abortSignal: AbortSignal) => Promise<T>, timeoutMs: number): Promise<T> {
    const controller = new AbortController();
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      const words = `the container engine at ${this.place} did not ${what} within ${timeoutMs} ms`;
      late.reject(new EngineLate("sandbox", words));
      controller.abort();
    }, timeoutMs);
    try {
      return await Promise.race([work(controller.signal), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #told(what: string, error: unknown): Error {
    if (error instanceof SandlotError) return error;
    const words = error instanceof Error ? error.message : String(error);
    const cause = { cause: error };
    if (UNREACHABLE.has(codeOf(error))) {
      return new EngineUnreachable(
        `the container engine at ${this.place} cannot be reached to ${what}: ${words}`,
        cause,
      );
    }
    return new SandlotError("sandbox", `the container engine at ${this.place} could not ${what}: ${words}`, cause);
  }
}

/** The client hands on what is no JSON as it came, and so a mere `null` too. */
function legible<T>(answer: T): T {
  if (typeof answer !== "string" && !Buffer.isBuffer(answer)) return answer;
  if (String(answer).trim() === "null") return null as T; // for lists, which may be none
  throw new Error(`its answer cannot be read: ${String(answer).slice(0, 200)}`);
}

/** The answer itself, which is to be destroyed: a stream that is made of it leaves it open, and the engine keeps locked what it reads. */
export function readable(answer: NodeJS.ReadableStream): Readable {
  return answer instanceof Readable ? answer : Readable.from(answer);
}

/** Nobody answers: it is down, or on its way up. */
export class EngineUnreachable extends SandlotError {
  constructor(message: string, facts: { readonly cause: unknown }) {
    super("sandbox", message, facts);
  }
}

/** It was asked, and may still do it. */
export class EngineLate extends SandlotError {}

/** The HTTP status that an engine refused with. */
export function statusOf(error: unknown): number | undefined {
  const at = error instanceof SandlotError ? error.cause : error;
  return at instanceof Error && "statusCode" in at && typeof at.statusCode === "number" ? at.statusCode : undefined;
}

const BROKEN = new Set(["ECONNRESET", "EPIPE"]);
const UNREACHABLE = new Set([...BROKEN, "ECONNREFUSED", "ENOENT", "EACCES", "ETIMEDOUT", "EHOSTUNREACH", "ENOTFOUND"]);

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}
