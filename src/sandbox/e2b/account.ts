import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { SandlotError } from "../../errors.ts";
import { Control, type ControlOptions, isAbsent, isPassing, ServiceError, type Told, unlessGone } from "./control.ts";
import type { EnvdPlace } from "./envd.ts";
import type { Gate } from "./gate.ts";

export interface AccountOptions extends ControlOptions {
  /** Which paths of create and connect are tried first, `/sandboxes` or `/v2/sandboxes`; the others where those are not there. */
  readonly apiVersion: Version;
}

type Version = "v1" | "v2";

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

export interface Found {
  readonly sandboxId: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The metadata's name for the sandbox that a machine is for. */
export const ID = "sandlot_id";
/** The longest that all creates rest for one that was refused, whatever the service asks for. */
const MOST_REST_MS = 60_000;
const ATTEMPTS = 5;
const PAGE = 100;

const Lent = z
  .looseObject({ sandboxID: z.string().min(1), domain: z.string().nullish(), envdAccessToken: z.string().nullish() })
  .transform(({ sandboxID: sandboxId, domain, envdAccessToken: token }): Lent => {
    return { sandboxId, ...(domain && { domain }), ...(token && { token }) };
  });
const Metadata = z.record(z.string(), z.string()).nullish();
const Listed = z
  .array(z.looseObject({ sandboxID: z.string().min(1), metadata: Metadata }))
  .nullish()
  .transform((all) => all ?? []);
const Detail = z.looseObject({ metadata: Metadata });
const Snapshot = z.looseObject({ snapshotID: z.string().min(1) });

/** One account at the service: its sandboxes and snapshots, each call ended in finite time and asked again where that does no harm. */
export class Account {
  readonly control: Control;
  readonly #gate: Gate;
  /** Ids of sandboxes of which an answer was lost: there may be two. */
  readonly #uncertain = new Set<string>();
  #listsBy: "/v2/sandboxes" | "/sandboxes" = "/v2/sandboxes";
  #version: Version;
  /** A sandbox was made by that version: its paths are there. */
  #versionIsKnown = false;

  constructor(options: AccountOptions, gate: Gate) {
    this.control = new Control(options);
    this.#version = options.apiVersion;
    this.#gate = gate;
  }

  daemonOf({ sandboxId, domain, token }: Lent): EnvdPlace {
    const { config, waits } = this.control;
    const url = config.getSandboxUrl(sandboxId, { sandboxDomain: domain ?? config.domain, envdPort: 49_983 });
    return { url, sandboxId, token, waits };
  }

  /**
   * A new sandbox, or, where an answer was lost, the one of the same metadata that was made all the same. Waits while the service has no room. `ServiceError` of status 404: there is no such
   * template. The signal is heard between requests: one that was sent is waited for.
   */
  async create(wish: Wish, signal?: AbortSignal): Promise<Lent> {
    const { patienceMs } = this.control.waits;
    const until = performance.now() + patienceMs;
    for (let attempt = 1, refusals = 0; ; ) {
      await this.#gate.pace(signal);
      try {
        return await this.#post(wish);
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
        if (error.status === 429) {
          if (performance.now() > until) throw noRoom(patienceMs, error);
          const restMs = Math.min(error.restMs, MOST_REST_MS) * (1 + Math.random() / 4);
          this.#gate.holdBack(restMs || Math.min(500 * 2 ** refusals++, 15_000) * (0.5 + Math.random()));
          continue;
        }
        if (!isPassing(error)) throw error;
        this.#uncertain.add(wish.metadata[ID] ?? "");
        const made = await this.#adopt(wish);
        if (made !== undefined) return made;
        if (attempt++ === ATTEMPTS || performance.now() > until) throw error;
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
    const seen = new Set<string>();
    for (let token: string | undefined; ; ) {
      const page = await this.control.again(() => this.#page(metadata, token));
      for (const one of page.listed) found.push(await this.#described(one));
      token = page.next;
      if (token === undefined || seen.has(token)) break;
      seen.add(token);
    }
    // A service may not know how to filter.
    const wanted = Object.entries(metadata);
    return found.filter((one) => wanted.every(([name, value]) => one.metadata[name] === value));
  }

  async exists(sandboxId: string): Promise<boolean> {
    return (await this.#askAgain("GET", `/sandboxes/${encodeURIComponent(sandboxId)}`)) !== undefined;
  }

  /** Lets it live for so long from now on. False when it is gone. A service that cannot be asked for that keeps it for as long as it was made for. */
  async renew(sandboxId: string, lifeS: number): Promise<boolean> {
    const path = `/sandboxes/${encodeURIComponent(sandboxId)}/timeout`;
    try {
      if ((await this.#askAgain("POST", path, { timeout: lifeS })) !== undefined) return true;
    } catch (error) {
      if (!(error instanceof ServiceError) || !isAbsent(error.status)) throw error;
    }
    return this.exists(sandboxId);
  }

  /** Idempotent. */
  async kill(sandboxId: string): Promise<void> {
    const path = `/sandboxes/${encodeURIComponent(sandboxId)}`;
    const killed = async (): Promise<void> => {
      const told = await this.control.ask("DELETE", path);
      // Another success than E2B's may be that of whatever stands before the service.
      if (told.status === 204 || !(await this.exists(sandboxId))) return;
      throw new ServiceError(0, `the service said ${told.status} to the end of ${sandboxId}, which goes on`);
    };
    await this.control.again(killed).catch(unlessGone);
  }

  /** The name by which sandboxes are made from it; undefined when the service takes no snapshots of this account. A second one of a name takes the first one's place. */
  async snapshot(sandboxId: string, name: string): Promise<string | undefined> {
    const path = `/sandboxes/${encodeURIComponent(sandboxId)}/snapshots`;
    const { control } = this;
    try {
      return await control.again(async () => {
        const told = await control.ask("POST", path, { body: { name }, timeoutMs: control.waits.snapshotMs });
        return control.checked(Snapshot, told).snapshotID;
      });
    } catch (error) {
      if (error instanceof ServiceError && error.status !== 401 && !isPassing(error)) return undefined;
      throw error;
    }
  }

  /** Also of a snapshot. Idempotent. */
  async deleteTemplate(id: string): Promise<void> {
    await this.#askAgain("DELETE", `/templates/${encodeURIComponent(id)}`);
  }

  /** What one needs to speak to a sandbox that somebody else made. */
  async connect(sandboxId: string, lifeS: number): Promise<Lent> {
    const path = `/sandboxes/${encodeURIComponent(sandboxId)}/connect`;
    return await this.control.again(async () =>
      this.control.checked(Lent, await this.#versioned(path, { timeout: lifeS })),
    );
  }

  async #post({ templateId, metadata, lifeS, internet }: Wish): Promise<Lent> {
    const body = { templateID: templateId, metadata, timeout: lifeS, secure: true, allow_internet_access: internet };
    const lent = this.control.checked(Lent, await this.#versioned("/sandboxes", body));
    this.#versionIsKnown = true;
    return lent;
  }

  /** By the paths that this service has: they take and answer the same. */
  async #versioned(path: string, body: unknown): Promise<Told> {
    const by = (version: Version): Promise<Told> =>
      this.control.ask("POST", version === "v1" ? path : `/v2${path}`, {
        body,
        timeoutMs: this.control.waits.createMs,
      });
    try {
      return await by(this.#version);
    } catch (error) {
      if (this.#versionIsKnown || !(error instanceof ServiceError) || !isAbsent(error.status)) throw error;
      const other = this.#version === "v1" ? "v2" : "v1";
      const told = await by(other).catch((second: unknown) => {
        // What is there says more than what is not.
        throw second instanceof ServiceError && isAbsent(second.status) && second.status !== 404 ? error : second;
      });
      this.#version = other;
      return told;
    }
  }

  /** One that cannot be spoken to is removed. */
  async #adopt({ metadata, lifeS }: Wish): Promise<Lent | undefined> {
    const id = metadata[ID];
    const marks = id === undefined ? metadata : { [ID]: id };
    const { pauseMs } = this.control.waits;
    for (const waitMs of [pauseMs / 2, 2.5 * pauseMs, 5 * pauseMs]) {
      await sleep(waitMs * (0.5 + Math.random()));
      const [found] = await this.find(marks).catch(() => []);
      if (found === undefined) continue;
      try {
        return await this.connect(found.sandboxId, lifeS);
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
        await this.kill(found.sandboxId);
        return undefined;
      }
    }
    return undefined;
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
    try {
      const told = await this.control.ask("GET", this.#listsBy, { query });
      const listed = this.control.checked(Listed, told);
      return { listed, next: told.headers.get("x-next-token") || undefined };
    } catch (error) {
      const absent = error instanceof ServiceError && isAbsent(error.status);
      if (!absent || this.#listsBy === "/sandboxes") throw error;
      this.#listsBy = "/sandboxes";
      return this.#page(metadata, nextToken);
    }
  }

  /** A list need not tell the metadata: then the sandbox itself is asked. */
  async #described({ sandboxID: sandboxId, metadata }: z.infer<typeof Listed>[number]): Promise<Found> {
    if (metadata) return { sandboxId, metadata };
    const told = await this.#askAgain("GET", `/sandboxes/${encodeURIComponent(sandboxId)}`);
    const detail = told === undefined ? undefined : Detail.safeParse(told.json).data;
    return { sandboxId, metadata: detail?.metadata ?? {} };
  }

  /** Undefined: what it is about is not there. */
  #askAgain(method: "GET" | "POST" | "DELETE", path: string, body?: unknown): Promise<Told | undefined> {
    const ask = () => this.control.ask(method, path, body === undefined ? {} : { body });
    return this.control.again(ask).catch(unlessGone);
  }
}

interface Page {
  readonly listed: z.infer<typeof Listed>;
  readonly next: string | undefined;
}

function noRoom(patienceMs: number, cause: ServiceError): SandlotError {
  const words = `the service had no room for another sandbox in ${patienceMs / 1_000} s: ${cause.message}`;
  return new SandlotError("busy", words, { cause, knob: "backend.max_sandboxes", retryAfterMs: 10_000 });
}
