import { setTimeout as sleep } from "node:timers/promises";
import { Template } from "e2b";
import { z } from "zod";
import { SandlotError } from "../../errors.ts";
import type { ImageWatch } from "../sandbox.ts";
import { type Control, isAbsent, isPassing, ServiceError, unlessGone } from "./control.ts";

export interface BuildWish {
  readonly name: string;
  readonly image: string;
  /** What makes the image; undefined: a registry has it. */
  readonly dockerfile: string | undefined;
  readonly cpu: number;
  readonly memoryMiB: number;
}

const Alias = z.looseObject({ templateID: z.string().min(1) });
const Requested = z.looseObject({ templateID: z.string().min(1), buildID: z.string().min(1) });
const Told = z.looseObject({ builds: z.array(z.looseObject({ status: z.string() })).nullish() });
const Progress = z.looseObject({
  status: z.string(),
  logs: z.array(z.string()).nullish(),
  logEntries: z.array(z.looseObject({ message: z.string().nullish() })).nullish(),
  reason: z.union([z.string(), z.looseObject({ message: z.string().nullish() })]).nullish(),
});

/** How a build stands; services have words of their own beside E2B's `waiting`, `building`, `ready` and `error`. */
type Standing = "ready" | "failed" | "asked for" | "going on";

/** Builds of templates at the service. Several servers may want the same one: the name decides the content, so whichever is ready stands for all. */
export class Builds {
  readonly #control: Control;

  constructor(control: Control) {
    this.#control = control;
  }

  /** How long a build is waited for, or a place for one. */
  get patienceMs(): number {
    return this.#control.waits.buildMs;
  }

  /** The id of the template of that name, as soon as it can be used; undefined when there is none, or none that was ever ready. */
  async ready(name: string, { signal, report }: ImageWatch): Promise<string | undefined> {
    const { attachMs, buildMs } = this.#control.waits;
    const began = performance.now();
    for (let told = false; ; told = true) {
      const id = await this.#named(name);
      if (id === undefined) return undefined;
      const standing = await this.#standingOf(id);
      if (standing === "ready") return id;
      // Whoever asked for a build and never began it may have crashed.
      const patienceMs = { failed: 0, "asked for": attachMs, "going on": buildMs }[standing];
      if (performance.now() - began >= patienceMs) return undefined;
      if (!told) report({ message: `the template ${name} is being built by another server` });
      await this.#pause(signal);
    }
  }

  /**
   * Builds it, and waits. Undefined when another server was faster: then ask for `ready`. Fault `task`: it cannot be made from that image; fault `unsupported`: the service builds none;
   * `ServiceError` of status 429: the account has as many builds under way as it may have.
   */
  async build(wish: BuildWish, watch: ImageWatch): Promise<string | undefined> {
    const build = await this.#request(wish);
    if (build === undefined) return await this.#pause(watch.signal);
    const { templateID, buildID } = build;
    const at = `builds/${encodeURIComponent(buildID)}`;
    const status = `/templates/${encodeURIComponent(templateID)}/${at}/status`;
    await this.#begin(`/v2/templates/${encodeURIComponent(templateID)}/${at}`, wish, status);
    const reason = await this.#finished(status, watch);
    if (reason === undefined) return templateID;
    if (/supersed|cancel/i.test(reason)) return await this.#pause(watch.signal);
    throw new SandlotError("task", `no template could be built from the image ${wish.image}: ${reason}`);
  }

  /** A build that was begun is not begun again: when it is not known, how it stands tells. */
  async #begin(path: string, { image, dockerfile }: BuildWish, status: string): Promise<void> {
    const template = dockerfile === undefined ? Template().fromImage(image) : Template().fromDockerfile(dockerfile);
    const body: unknown = JSON.parse(await Template.toJSON(template.setUser("root"), false));
    await this.#control.again(async () => {
      const told = await this.#control.ask("POST", path, { body }).catch((error: unknown) => {
        if (!(error instanceof ServiceError) || !isPassing(error)) throw error;
        return error;
      });
      if (told.status === ACCEPTED || standingOf((await this.#progress(status, 0)).status) !== "asked for") return;
      throw told instanceof ServiceError
        ? told
        : new ServiceError(0, `the service said ${told.status}, and built nothing`);
    });
  }

  #progress(path: string, logsOffset: number): Promise<z.infer<typeof Progress>> {
    const query = { logsOffset };
    return this.#control.again(async () =>
      this.#control.checked(Progress, await this.#control.ask("GET", path, { query })),
    );
  }

  async #named(name: string): Promise<string | undefined> {
    const path = `/templates/aliases/${encodeURIComponent(name)}`;
    const ask = async () => this.#control.checked(Alias, await this.#control.ask("GET", path));
    return (await this.#control.again(ask).catch(unlessUnknown))?.templateID;
  }

  /** A name is there as soon as a build was asked for. A service that does not tell its builds is believed. */
  async #standingOf(id: string): Promise<Standing> {
    const path = `/templates/${encodeURIComponent(id)}`;
    const ask = async () => this.#control.checked(Told, await this.#control.ask("GET", path));
    const told = await this.#control.again(ask).catch(unlessUnknown);
    const builds = told?.builds?.map(({ status }) => standingOf(status));
    if (!builds) return "ready";
    const found = (["ready", "going on", "asked for"] as const).find((standing) => builds.includes(standing));
    return found ?? "failed";
  }

  async #request({ name, cpu, memoryMiB }: BuildWish): Promise<z.infer<typeof Requested> | undefined> {
    const body = { name, cpuCount: cpu, memoryMB: memoryMiB };
    try {
      return await this.#control.again(async () => {
        const told = await this.#control.ask("POST", "/v3/templates", { body }).catch((error: unknown) => {
          if (!(error instanceof ServiceError) || error.status !== 409) throw error;
          return undefined;
        });
        return told && this.#control.checked(Requested, told);
      });
    } catch (error) {
      if (!(error instanceof ServiceError) || !isAbsent(error.status)) throw error;
      const words = `the service builds no templates (${error.message}): name one that is there`;
      throw new SandlotError("unsupported", words, { cause: error, knob: "backend.templates" });
    }
  }

  /** Why it failed; undefined when it is ready. */
  async #finished(path: string, { signal, report }: ImageWatch): Promise<string | undefined> {
    const until = performance.now() + this.#control.waits.buildMs;
    for (let offset = 0; ; ) {
      const told = await this.#progress(path, offset);
      const lines = told.logEntries?.map(({ message }) => message ?? "") ?? told.logs ?? [];
      offset += lines.length;
      for (const line of lines) report({ message: line.slice(0, 200) });
      const standing = standingOf(told.status);
      if (standing === "ready") return undefined;
      if (standing === "failed") return reasonOf(told, lines);
      if (performance.now() > until) {
        const words = `the service did not finish a template within ${this.#control.waits.buildMs / 1_000} s`;
        throw new SandlotError("sandbox", words);
      }
      await this.#pause(signal);
    }
  }

  async #pause(signal: AbortSignal): Promise<undefined> {
    await sleep(this.#control.waits.pollMs * (0.75 + Math.random() / 2), undefined, { signal });
  }
}

function standingOf(status: string): Standing {
  if (/^(ready|success|succeeded|completed?|available|active|uploaded)$/i.test(status)) return "ready";
  if (/^(error|fail(ed|ure)?|cancell?ed|deleted)$/i.test(status)) return "failed";
  return /^(waiting|pending)$/i.test(status) ? "asked for" : "going on";
}

function reasonOf({ reason }: z.infer<typeof Progress>, lines: readonly string[]): string {
  const words = typeof reason === "string" ? reason : reason?.message;
  return words || lines.at(-1) || "the service gave no reason";
}

/** Of the answer to the begin of a build. */
const ACCEPTED = 202;

/** A service may not know how to be asked. */
function unlessUnknown(error: unknown): undefined {
  if (error instanceof ServiceError && (isAbsent(error.status) || error.status === 400)) return undefined;
  return unlessGone(error);
}
