import { SandlotError } from "../errors.ts";
import type { Lacks } from "./abilities.ts";
import type { Backend, Capabilities, Enforced, Images, Sandbox, SandboxSpec } from "./sandbox.ts";

/** Of several backends behind one, that of a name of the configuration; without a name the default one. Fault `unsupported`: there is none of that name (any more). */
export function backendOf(backend: Backend, name: string | undefined): Backend {
  if (!name) return backend;
  const found = backend.named?.get(name);
  if (found !== undefined) return found;
  throw new SandlotError("unsupported", `backends: there is no backend ${JSON.stringify(name)} here`, {
    knob: "backends",
  });
}

/** All that stand behind one, the default one first. */
export function allOf(backend: Backend): readonly Backend[] {
  return [backend, ...(backend.named?.values() ?? [])];
}

/**
 * Several backends as one: a spec says by its name which makes the sandbox, and what has only an id is asked of whoever has it. What it says of itself is said of the default one; `backendOf` has the
 * others. No two may keep their things in the same folder.
 */
export class SeveralBackends implements Backend {
  readonly named: ReadonlyMap<string, Backend>;
  readonly images?: Images;
  readonly #first: Backend;
  /** Of those that were there when all were asked last: who names each. Two that share an engine, an account or control groups both do, and one of them has its record. */
  readonly #owners = new Map<string, readonly Backend[]>();

  constructor(first: Backend, named: ReadonlyMap<string, Backend>) {
    this.#first = first;
    this.named = named;
    if (first.images !== undefined) this.images = first.images;
  }

  get name(): string {
    return this.#first.name;
  }
  get capabilities(): Capabilities {
    return this.#first.capabilities;
  }
  get lacks(): Lacks {
    return this.#first.lacks;
  }
  get enforced(): Enforced {
    return this.#first.enforced;
  }

  create(spec: SandboxSpec, signal?: AbortSignal): Promise<Sandbox> {
    return this.#madeBy(spec).create(spec, signal);
  }

  async reopen(id: string): Promise<Sandbox | undefined> {
    for (const one of await this.#ownersOf(id)) {
      const sandbox = await one.reopen(id);
      if (sandbox !== undefined) return sandbox;
    }
    return undefined;
  }

  async list(): Promise<readonly string[]> {
    const lists = await Promise.all(this.#all.map(async (one) => [one, await one.list()] as const));
    this.#owners.clear();
    for (const [one, ids] of lists) for (const id of ids) this.#owners.set(id, [...(this.#owners.get(id) ?? []), one]);
    return [...this.#owners.keys()];
  }

  async remove(id: string): Promise<void> {
    for (const one of await this.#ownersOf(id)) await one.remove(id);
    this.#owners.delete(id);
  }

  buildLayer(spec: SandboxSpec, target: string, work: (sandbox: Sandbox) => Promise<void>): Promise<void> {
    return this.#madeBy(spec).buildLayer(spec, target, work);
  }

  async sweep(): Promise<void> {
    for (const one of this.#all) await one.sweep?.();
  }

  async close(): Promise<void> {
    const ends = await Promise.allSettled(this.#all.map((one) => one.close()));
    const failed = ends.find((end) => end.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  get #all(): readonly Backend[] {
    return [this.#first, ...this.named.values()];
  }

  #madeBy(spec: SandboxSpec): Backend {
    return spec.backend ? backendOf(this, spec.backend) : this.#first;
  }

  async #ownersOf(id: string): Promise<readonly Backend[]> {
    if (!this.#owners.has(id)) await this.list();
    return this.#owners.get(id) ?? [];
  }
}
