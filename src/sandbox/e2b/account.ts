import { setTimeout as sleep } from "node:timers/promises";
import { ApiClient, ConnectionConfig } from "e2b";
import { SandlotError } from "../../errors.ts";
import type { EnvdPlace } from "./envd.ts";
import type { Gate } from "./gate.ts";

export interface AccountOptions {
  readonly apiKey: string;
  /** Empty: the SDK's own. */
  readonly domain: string;
  readonly apiUrl: string;
  readonly sandboxUrl: string;
  /** Which paths make and connect sandboxes: `/sandboxes` or `/v2/sandboxes`. */
  readonly apiVersion: "v1" | "v2";
}

/** A sandbox of the service, and what its daemon is spoken to with. */
export interface Lent {
  readonly sandboxId: string;
  readonly domain?: string;
  readonly token?: string;
}

export interface Wish {
  readonly templateId: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly lifeS: number;
  readonly internet: boolean;
}

/** The service refused, or did not answer (status 0). */
export class ServiceError extends SandlotError {
  readonly status: number;

  constructor(status: number, message: string, cause?: unknown) {
    super("sandbox", message, cause === undefined ? {} : { cause });
    this.status = status;
  }
}

/** The metadata's name for the sandbox that a machine is for. */
export const ID = "sandlot_id";
/** How long a create goes on asking a service that has no room. */
const PATIENCE_MS = 600_000;
const ATTEMPTS = 5;
const PAGE = 100;

/** One account at the service: what the control plane can do, each call ended in finite time and asked again where that does no harm. */
export class Account {
  readonly #api: ApiClient["api"];
  readonly #config: ConnectionConfig;
  readonly #options: AccountOptions;
  readonly #gate: Gate;
  /** Ids of sandboxes of which an answer was lost: there may be two. */
  readonly #uncertain = new Set<string>();
  #listsBy: "/v2/sandboxes" | "/sandboxes" = "/v2/sandboxes";

  constructor(options: AccountOptions, gate: Gate) {
    const { apiKey, domain, apiUrl, sandboxUrl } = options;
    this.#config = new ConnectionConfig({
      apiKey,
      retries: 0, // of those that are told apart here
      ...(domain !== "" && { domain }),
      ...(apiUrl !== "" && { apiUrl }),
      ...(sandboxUrl !== "" && { sandboxUrl }),
    });
    this.#api = new ApiClient(this.#config).api;
    this.#options = options;
    this.#gate = gate;
  }

  /** For the SDK's own calls. */
  get connection(): { apiKey: string; domain: string; apiUrl: string } {
    return { apiKey: this.#options.apiKey, domain: this.#config.domain, apiUrl: this.#config.apiUrl };
  }

  daemonOf({ sandboxId, domain, token }: Lent): EnvdPlace {
    const sandboxDomain = domain ?? this.#config.domain;
    return { url: this.#config.getSandboxUrl(sandboxId, { sandboxDomain, envdPort: 49_983 }), sandboxId, token };
  }

  /**
   * A new sandbox, or, where an answer was lost, the one of the same metadata that was made all the same. Waits while the service has no room. `ServiceError` of status 404: there is no such
   * template. The signal is heard between requests: one that was sent is waited for.
   */
  async create(wish: Wish, signal?: AbortSignal): Promise<Lent> {
    const until = performance.now() + PATIENCE_MS;
    for (let attempt = 1, refusals = 0; ; ) {
      await this.#gate.pace(signal);
      try {
        return await this.#post(wish);
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
        if (error.status === 429) {
          if (performance.now() > until) throw noRoom(error);
          this.#gate.holdBack(Math.min(500 * 2 ** refusals++, 15_000) * (0.5 + Math.random()));
          continue;
        }
        const uncertain = error.status === 0 || error.status >= 500;
        if (!uncertain || attempt++ === ATTEMPTS) throw error;
        this.#uncertain.add(wish.metadata[ID] ?? "");
        const made = await this.#adopt(wish);
        if (made !== undefined) return made;
      }
      signal?.throwIfAborted();
    }
  }

  /** Whether more machines than one may bear that name. */
  isUncertain(id: string): boolean {
    return this.#uncertain.has(id);
  }

  /** Sandboxes whose metadata has all of these, running or paused. */
  async find(metadata: Readonly<Record<string, string>>): Promise<readonly Found[]> {
    const found: Found[] = [];
    for (let token: string | undefined; ; ) {
      const page = await this.#again(() => this.#page(metadata, token));
      found.push(...page.found);
      token = page.next;
      if (token === undefined) break;
    }
    // A service may not know how to filter.
    const wanted = Object.entries(metadata);
    return found.filter((one) => wanted.every(([name, value]) => one.metadata[name] === value));
  }

  async exists(sandboxId: string): Promise<boolean> {
    const answer = await this.#again(() =>
      this.#asked(() =>
        this.#api.GET("/sandboxes/{sandboxID}", { params: { path: { sandboxID: sandboxId } }, signal: limit() }),
      ),
    ).catch(unlessMissing);
    return answer !== undefined;
  }

  /** Lets it live for so long from now on. False when it is gone. */
  async renew(sandboxId: string, lifeS: number): Promise<boolean> {
    const params = { path: { sandboxID: sandboxId } };
    const renewed = await this.#again(() =>
      this.#asked(() =>
        this.#api.POST("/sandboxes/{sandboxID}/timeout", { params, body: { timeout: lifeS }, signal: limit() }),
      ),
    ).catch(unlessMissing);
    return renewed !== undefined;
  }

  /** Idempotent. */
  async kill(sandboxId: string): Promise<void> {
    await this.#again(() =>
      this.#asked(() =>
        this.#api.DELETE("/sandboxes/{sandboxID}", { params: { path: { sandboxID: sandboxId } }, signal: limit() }),
      ),
    ).catch(unlessMissing);
  }

  /** The name by which sandboxes are made from it. `ServiceError` of 404, 405 or 501: the service has no snapshots. */
  async snapshot(sandboxId: string, name: string): Promise<string> {
    const params = { path: { sandboxID: sandboxId } };
    const { data } = await this.#asked(() =>
      this.#api.POST("/sandboxes/{sandboxID}/snapshots", {
        params,
        body: { name },
        signal: AbortSignal.timeout(SNAPSHOT_MS),
      }),
    );
    if (data === undefined) throw new ServiceError(200, "the service answered a snapshot with nothing");
    return data.snapshotID;
  }

  /** Also of a snapshot. Idempotent. */
  async deleteTemplate(id: string): Promise<void> {
    await this.#again(() =>
      this.#asked(() =>
        this.#api.DELETE("/templates/{templateID}", { params: { path: { templateID: id } }, signal: limit() }),
      ),
    ).catch(unlessMissing);
  }

  /** The id of the template of that name. */
  async template(name: string): Promise<string | undefined> {
    const answer = await this.#again(() =>
      this.#asked(() =>
        this.#api.GET("/templates/aliases/{alias}", { params: { path: { alias: name } }, signal: limit() }),
      ),
    ).catch(unlessMissing);
    return answer?.data?.templateID;
  }

  async #post({ templateId, metadata, lifeS, internet }: Wish): Promise<Lent> {
    // The newer path takes and answers the same.
    const path = this.#options.apiVersion === "v1" ? "/sandboxes" : ("/v2/sandboxes" as "/sandboxes");
    const body = { templateID: templateId, metadata, timeout: lifeS, secure: true, allow_internet_access: internet };
    return lentOf((await this.#asked(() => this.#api.POST(path, { body, signal: limit(CREATE_MS) }))).data);
  }

  async #adopt({ metadata, lifeS }: Wish): Promise<Lent | undefined> {
    for (const pauseMs of [200, 1_000, 2_000]) {
      await sleep(pauseMs * (0.5 + Math.random()));
      const [found] = await this.find(metadata).catch(() => []);
      if (found !== undefined) return await this.connect(found.sandboxId, lifeS);
    }
    return undefined;
  }

  /** What one needs to speak to a sandbox that somebody else made. */
  async connect(sandboxId: string, lifeS: number): Promise<Lent> {
    const path = "/sandboxes/{sandboxID}/connect";
    const versioned = this.#options.apiVersion === "v1" ? path : (`/v2${path}` as typeof path); // the newer path takes and answers the same
    const params = { path: { sandboxID: sandboxId } };
    const ask = () => this.#api.POST(versioned, { params, body: { timeout: lifeS }, signal: limit(CREATE_MS) });
    return lentOf((await this.#again(() => this.#asked(ask))).data);
  }

  async #page(metadata: Readonly<Record<string, string>>, nextToken: string | undefined): Promise<Page> {
    // Names and values are encoded twice: once here, once as a part of the address.
    const pairs = Object.entries(metadata).map(([name, value]): [string, string] => [
      encodeURIComponent(name),
      encodeURIComponent(value),
    ]);
    const query = {
      metadata: new URLSearchParams(pairs).toString(),
      limit: PAGE,
      ...(nextToken !== undefined && { nextToken }),
    };
    const path = this.#listsBy as "/v2/sandboxes"; // the older path takes and answers the same
    try {
      const { data, response } = await this.#asked(() => this.#api.GET(path, { params: { query }, signal: limit() }));
      const found = (data ?? []).map((one) => ({ sandboxId: one.sandboxID, metadata: one.metadata ?? {} }));
      return { found, next: response.headers.get("x-next-token") || undefined };
    } catch (error) {
      const missing = error instanceof ServiceError && (error.status === 404 || error.status === 405);
      if (!missing || this.#listsBy === "/sandboxes") throw error;
      this.#listsBy = "/sandboxes";
      return this.#page(metadata, nextToken);
    }
  }

  async #asked<T extends Answer>(ask: () => Promise<T>): Promise<T> {
    let answer: T;
    try {
      answer = await ask();
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      throw new ServiceError(0, `the service at ${this.#config.apiUrl} did not answer: ${words}`, error);
    }
    const { response, error } = answer;
    if (response.ok) return answer;
    const retryAfter = Number(response.headers.get("retry-after"));
    if (response.status === 429 && retryAfter > 0) this.#gate.holdBack(retryAfter * 1_000 * (1 + Math.random() / 4));
    const said = typeof error === "object" && error !== null && "message" in error ? String(error.message) : "";
    const advice = response.status === 401 || response.status === 403 ? ": does the key fit the domain?" : "";
    throw new ServiceError(
      response.status,
      `the service at ${this.#config.apiUrl} answered ${response.status}: ${said}${advice}`,
    );
  }

  /** For what does no harm twice. */
  async #again<T>(ask: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await ask();
      } catch (error) {
        const passing =
          error instanceof ServiceError && (error.status === 0 || error.status === 429 || error.status >= 500);
        if (!passing || attempt === ATTEMPTS) throw error;
        await sleep(200 * 2 ** attempt * (0.5 + Math.random()));
      }
    }
  }
}

export interface Found {
  readonly sandboxId: string;
  readonly metadata: Readonly<Record<string, string>>;
}

interface Page {
  readonly found: readonly Found[];
  readonly next: string | undefined;
}

interface Answer {
  readonly response: Response;
  readonly error?: unknown;
}

const SNAPSHOT_MS = 300_000;
const CREATE_MS = 120_000;
const limit = (ms = 30_000): AbortSignal => AbortSignal.timeout(ms);

function unlessMissing(error: unknown): undefined {
  if (!(error instanceof ServiceError) || error.status !== 404) throw error;
}

function noRoom(cause: ServiceError): SandlotError {
  const words = `the service had no room for another sandbox in ${PATIENCE_MS / 1_000} s: ${cause.message}`;
  return new SandlotError("busy", words, { cause, knob: "backend.max_sandboxes", retryAfterMs: 10_000 });
}

function lentOf(data: { sandboxID: string; domain?: string | null; envdAccessToken?: string } | undefined): Lent {
  if (data === undefined) throw new ServiceError(200, "the service answered the making of a sandbox with nothing");
  const { sandboxID: sandboxId, domain, envdAccessToken: token } = data;
  return { sandboxId, ...(domain && { domain }), ...(token !== undefined && { token }) };
}
