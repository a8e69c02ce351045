import { setTimeout as pause } from "node:timers/promises";
import type { z } from "zod";
import { SandlotError } from "../../../errors.ts";

export interface HubOptions {
  /** `https://huggingface.co` or a mirror of it, without a slash at the end. */
  readonly endpoint: string;
  readonly token?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** For an answer to begin, and between two pieces of it. */
  readonly deadlineMs?: number;
  /** Before the second try; each further one waits twice as long. */
  readonly pauseMs?: number;
}

/** The bytes of a file from `start` on, which is 0 where the hub does not resume. */
export interface Body {
  readonly start: number;
  readonly chunks: AsyncIterable<Uint8Array>;
}

const TRIES = 5;
const DEADLINE_MS = 30_000;
const PAUSE_MS = 1_000;
/** A hub that wants to be left alone for longer is not waited for. */
const LONGEST_PAUSE_MS = 60_000;
const MAX_JSON_BYTES = 64 * 1024 * 1024;

/**
 * The hub's HTTP interface. Every request has a deadline; what the network, an overloaded or a broken hub did is tried again. The token goes to the
 * endpoint and to no host that it redirects to. Fault `invalid` for what the hub does not have or does not give to us, `sandbox` for a hub that fails.
 */
export class Hub {
  readonly #options: HubOptions;

  constructor(options: HubOptions) {
    this.#options = options;
  }

  get endpoint(): string {
    return this.#options.endpoint;
  }

  /** A document of the interface, and the path of its next page. */
  async json<T>(path: string, schema: z.ZodType<T>): Promise<{ readonly value: T; readonly next?: string }> {
    const url = this.#url(path);
    return this.again(url, async () => {
      const response = await this.#fetch(url, {});
      const parts: Uint8Array[] = [];
      let size = 0;
      for await (const chunk of this.#chunks(response, url)) {
        size += chunk.length;
        if (size > MAX_JSON_BYTES) throw answer(url, `more than ${MAX_JSON_BYTES} bytes`);
        parts.push(chunk);
      }
      const next = nextPage(response.headers.get("link"));
      return { value: parsed(Buffer.concat(parts), schema, url), ...(next !== undefined && { next }) };
    });
  }

  /** What follows the first `from` bytes of a file of `size` bytes. Only once: who reads it tries `again`. */
  async file(path: string, from: number, size: number): Promise<Body> {
    const url = this.#url(path);
    // Packed on the way, a range would count other bytes than those of the file.
    const headers = { "accept-encoding": "identity", ...(from > 0 && { range: `bytes=${from}-` }) };
    const response = await this.#fetch(url, headers);
    const start = response.status === 206 ? from : 0;
    return { start, chunks: exactly(size - start, this.#chunks(response, url), url) };
  }

  /** Tries until it works, at most five times in a row without `progress`, with pauses. */
  async again<T>(what: string, work: (progress: () => void) => Promise<T>): Promise<T> {
    const { signal, pauseMs = PAUSE_MS } = this.#options;
    for (let tries = 1; ; tries++) {
      try {
        return await work(() => {
          tries = 1;
        });
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof TryAgain)) throw error;
        const waitMs = error.waitMs ?? pauseMs * 2 ** (tries - 1);
        if (tries >= TRIES || waitMs > LONGEST_PAUSE_MS) {
          const advice = waitMs > LONGEST_PAUSE_MS ? `; it asks for ${Math.ceil(waitMs / 1_000)} s of patience` : "";
          throw new SandlotError("sandbox", `${what}: ${error.message}${advice}, after ${tries} tries`, {
            cause: error,
          });
        }
        await pause(waitMs, undefined, signal && { signal });
      }
    }
  }

  #url(path: string): string {
    return new URL(path, `${this.#options.endpoint}/`).href;
  }

  async #fetch(url: string, headers: Readonly<Record<string, string>>): Promise<Response> {
    const { token, signal, deadlineMs = DEADLINE_MS } = this.#options;
    // The deadline is for the headers: it must not end a long body.
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new TryAgain(`no answer within ${deadlineMs} ms`)), deadlineMs);
    try {
      const response = await fetch(url, {
        headers: { ...headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) },
        signal: signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]),
      });
      if (response.ok) return response;
      await response.body?.cancel();
      throw refusal(url, response, token !== undefined);
    } catch (error) {
      throw networkFailure(error);
    } finally {
      clearTimeout(timer);
    }
  }

  async *#chunks(response: Response, url: string): AsyncGenerator<Uint8Array> {
    const { deadlineMs = DEADLINE_MS, signal } = this.#options;
    const reader = response.body?.getReader();
    if (reader === undefined) return;
    try {
      while (true) {
        const { promise: late, reject } = Promise.withResolvers<never>();
        const timer = setTimeout(() => reject(new TryAgain(`nothing for ${deadlineMs} ms from ${url}`)), deadlineMs);
        const { done, value } = await Promise.race([reader.read(), late]).finally(() => clearTimeout(timer));
        signal?.throwIfAborted();
        if (done) return;
        yield value;
      }
    } catch (error) {
      throw networkFailure(error);
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  }
}

async function* exactly(size: number, chunks: AsyncIterable<Uint8Array>, url: string): AsyncGenerator<Uint8Array> {
  let left = size;
  for await (const chunk of chunks) {
    left -= chunk.length;
    if (left < 0) throw answer(url, `more than the ${size} bytes that were to come`);
    yield chunk;
  }
  if (left > 0) throw new TryAgain(`the answer of ${url} ends ${left} bytes too early`);
}

/** A failure that may be gone the next time. */
class TryAgain extends Error {
  override readonly name = "TryAgain";
  readonly waitMs: number | undefined;

  constructor(message: string, waitMs?: number) {
    super(message);
    this.waitMs = waitMs;
  }
}

/** `fetch` throws a TypeError for whatever the network did, with the reason as its cause. */
function networkFailure(error: unknown): unknown {
  if (!(error instanceof TypeError)) return error;
  const { cause } = error;
  return new TryAgain(cause instanceof Error ? cause.message || error.message : error.message);
}

function refusal(url: string, response: Response, hasToken: boolean): Error {
  const { status, headers } = response;
  // What the hub says of its reasons, where it does.
  const said = headers.get("x-error-message") ?? headers.get("x-error-code") ?? response.statusText;
  const got = `${status}${said && ` (${said.slice(0, 300)})`}`;
  if (status === 429 || status >= 500) return new TryAgain(`the hub answers ${got}`, waitOf(headers));
  if (status === 401 || status === 403) {
    const token = hasToken ? "the HF_TOKEN that is set does not give access" : "HF_TOKEN is not set";
    const message = `expected to be let in at ${url}, got ${got}: the data set is private or gated, or is not there; ${token}`;
    return new SandlotError("invalid", message, { field: "tasks", knob: "HF_TOKEN" });
  }
  if (status === 404) {
    return new SandlotError("invalid", `expected a data set, revision and file of the hub at ${url}, got ${got}`, {
      field: "tasks",
    });
  }
  return answer(url, got);
}

/** `Retry-After` in seconds or as a date, or what is left of the window in `RateLimit: ...;t=SECONDS`. */
function waitOf(headers: Headers): number | undefined {
  const after = headers.get("retry-after");
  const seconds = after ?? /;\s*t=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1];
  if (seconds === undefined || seconds === null) return undefined;
  const waitMs = /^\d+$/.test(seconds) ? Number(seconds) * 1_000 : Date.parse(seconds) - Date.now();
  return Number.isNaN(waitMs) ? undefined : Math.max(waitMs, 0);
}

/** From `Link: <address>; rel="next"`, without its host: that of a mirror may be the hub's own, which the token is not for. */
function nextPage(link: string | null): string | undefined {
  const address = /<([^>]*)>\s*;\s*rel="next"/.exec(link ?? "")?.[1];
  if (address === undefined || !URL.canParse(address, "http://hub")) return undefined;
  const { pathname, search } = new URL(address, "http://hub");
  return `${pathname.replace(/^\/+/, "")}${search}`;
}

function parsed<T>(bytes: Uint8Array, schema: z.ZodType<T>, url: string): T {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw answer(url, "no JSON");
  }
  const read = schema.safeParse(value);
  if (read.success) return read.data;
  const issue = read.error.issues[0];
  throw answer(url, `a document with ${issue?.path.join(".")}: ${issue?.message}`);
}

function answer(url: string, got: string): SandlotError {
  return new SandlotError("sandbox", `expected an answer of the hub's interface from ${url}, got ${got}`, {
    knob: "HF_ENDPOINT",
  });
}
