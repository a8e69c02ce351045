import { setTimeout as sleep } from "node:timers/promises";
import { ApiClient, ConnectionConfig } from "e2b";
import type { z } from "zod";
import { SandlotError } from "../../errors.ts";
import type { Waits } from "./waits.ts";

export interface ControlOptions {
  readonly apiKey: string;
  /** Empty: the SDK's own. */
  readonly domain: string;
  readonly apiUrl: string;
  readonly sandboxUrl: string;
  readonly waits: Waits;
}

/** The service refused, or did not answer as it should (status 0). */
export class ServiceError extends SandlotError {
  readonly status: number;
  /** How long it asked to be left alone; 0: it did not say. */
  readonly restMs: number;

  constructor(status: number, message: string, { restMs = 0, cause }: { restMs?: number; cause?: unknown } = {}) {
    super("sandbox", message, cause === undefined ? {} : { cause });
    this.status = status;
    this.restMs = restMs;
  }
}

export interface Ask {
  readonly query?: Readonly<Record<string, string | number>>;
  readonly body?: unknown;
  /** Instead of the usual wait. */
  readonly timeoutMs?: number;
}

export interface Told {
  readonly status: number;
  /** Decoded; undefined when it was empty or no JSON. */
  readonly json: unknown;
  readonly headers: Headers;
}

const ATTEMPTS = 5;
/** The longest rest between two tries of a call that others wait for. */
const MOST_REST_MS = 20_000;

/** The service's control plane, request by request: each ends in finite time, with an answer or a `ServiceError`. */
export class Control {
  readonly config: ConnectionConfig;
  readonly waits: Waits;
  readonly #api: Requests;

  constructor({ apiKey, domain, apiUrl, sandboxUrl, waits }: ControlOptions) {
    this.config = new ConnectionConfig({
      apiKey,
      retries: 0, // of those that are told apart here
      ...(domain !== "" && { domain }),
      ...(apiUrl !== "" && { apiUrl }),
      ...(sandboxUrl !== "" && { sandboxUrl }),
    });
    this.waits = waits;
    this.#api = new ApiClient(this.config).api as unknown as Requests; // services differ in what they answer: it is read as text, and checked where it is used
  }

  async ask(method: Method, path: string, { query, body, timeoutMs = this.waits.askMs }: Ask = {}): Promise<Told> {
    const answer = await this.#api[method](path, {
      parseAs: "text",
      signal: AbortSignal.timeout(timeoutMs),
      ...(query !== undefined && { params: { query } }),
      ...(body !== undefined && { body }),
    }).catch((cause: unknown) => {
      const words = cause instanceof Error ? cause.message : String(cause);
      throw new ServiceError(0, `the service at ${this.config.apiUrl} did not answer: ${words}`, { cause });
    });
    const { response, data, error } = answer;
    if (response.ok) return { status: response.status, json: decoded(data), headers: response.headers };
    const advice = response.status === 401 || response.status === 403 ? ": does the key fit the domain?" : "";
    throw new ServiceError(
      response.status,
      `the service at ${this.config.apiUrl} answered ${response.status}: ${wordsOf(error)}${advice}`,
      { restMs: restOf(response.headers.get("retry-after")) },
    );
  }

  /** For what does no harm twice. */
  async again<T>(ask: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof ServiceError) || !isPassing(error) || attempt === ATTEMPTS) throw error;
        const pauseMs = (this.waits.pauseMs / 2) * 2 ** attempt * (0.5 + Math.random());
        await sleep(Math.max(pauseMs, Math.min(error.restMs, MOST_REST_MS)));
      }
    }
  }

  /** What an answer has to have; status 0 when it does not. */
  checked<T>(schema: z.ZodType<T>, { json }: Told): T {
    const { success, data, error } = schema.safeParse(json);
    if (success) return data;
    const [issue] = error.issues;
    const words = `${issue?.path.join(".") || "the answer"}: ${issue?.message ?? "it is not as expected"}`;
    throw new ServiceError(0, `the service at ${this.config.apiUrl} answered with something else: ${words}`);
  }
}

/** No answer; too slow; in between two states; too early; too many. */
const PASSING: ReadonlySet<number> = new Set([0, 408, 409, 425, 429]);

/** It is not known whether it was done, or it may be done another time. */
export function isPassing({ status }: ServiceError): boolean {
  return PASSING.has(status) || (status >= 500 && !isAbsent(status));
}

/** The service has no such call. */
export function isAbsent(status: number): boolean {
  return status === 404 || status === 405 || status === 501;
}

/** Rethrows all but that what was asked about is not there. */
export function unlessGone(error: unknown): undefined {
  if (!(error instanceof ServiceError) || (error.status !== 404 && error.status !== 410)) throw error;
}

type Method = "GET" | "POST" | "DELETE";

interface Init {
  readonly parseAs: "text";
  readonly signal: AbortSignal;
  readonly params?: { readonly query: Readonly<Record<string, string | number>> };
  readonly body?: unknown;
}

type Requests = Record<
  Method,
  (path: string, init: Init) => Promise<{ response: Response; data?: unknown; error?: unknown }>
>;

function decoded(data: unknown): unknown {
  if (typeof data !== "string" || data === "") return undefined;
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}

const WORDS = 300;

function wordsOf(error: unknown): string {
  const told = typeof error === "object" && error !== null && "message" in error ? String(error.message) : error;
  const words = typeof told === "string" ? told : JSON.stringify(told ?? "");
  return words.replace(/\s+/g, " ").trim().slice(0, WORDS); // a gateway's page has lines
}

/** Seconds, or a date. */
function restOf(header: string | null): number {
  if (header === null) return 0;
  const seconds = Number(header);
  const ms = Number.isNaN(seconds) ? Date.parse(header) - Date.now() : seconds * 1_000;
  return Number.isFinite(ms) && ms > 0 ? ms : 0;
}
