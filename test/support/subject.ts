import type { Ability } from "../../src/sandbox/abilities.ts";
import type { Backend, Sandbox, SandboxSpec } from "../../src/sandbox/sandbox.ts";
import { specIn } from "./backends.ts";
import type { Ground, Place, Variant } from "./variants.ts";

/** One promise of the contract, and the check that it is kept. */
export interface Behaviour {
  /** With its topic a sentence. */
  readonly name: string;
  /** Without any of these the backend must refuse instead. */
  readonly needs?: readonly Ability[];
  readonly check: (subject: Subject) => Promise<void>;
}

/** What a behaviour is tried on: a backend that is open, in a place of its own. */
export class Subject implements AsyncDisposable {
  readonly variant: Variant;
  readonly place: Place;
  readonly backend: Backend;
  readonly #ground: Ground;
  #shared: Sandbox | undefined;

  private constructor(variant: Variant, ground: Ground, place: Place, backend: Backend) {
    this.variant = variant;
    this.#ground = ground;
    this.place = place;
    this.backend = backend;
  }

  /** Rejects with the reason where the variant cannot be had here. */
  static async open(variant: Variant): Promise<Subject> {
    const ground = await variant.ground();
    const place = ground.place();
    try {
      return new Subject(variant, ground, place, await place.open());
    } catch (error) {
      await place[Symbol.asyncDispose]();
      await ground[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A sandbox that many behaviours are tried in, one after the other: none ends it, or leaves anything running in it. */
  async shared(): Promise<Sandbox> {
    if (this.#shared === undefined || !(await this.#shared.alive())) {
      await this.#shared?.dispose();
      this.#shared = await this.backend.create(specIn(this.place));
    }
    return this.#shared;
  }

  async withSandbox(changes: Partial<SandboxSpec>, work: (sandbox: Sandbox) => Promise<void>): Promise<void> {
    const sandbox = await this.backend.create(specIn(this.place, changes));
    try {
      await work(sandbox);
    } finally {
      await sandbox.dispose();
    }
  }

  /** A server of its own on the same ground; all that it made must be gone when the work is done. */
  async withPlace(work: (place: Place) => Promise<void>): Promise<void> {
    await using place = this.#ground.place();
    await work(place);
    const left = await place.leftovers();
    if (left.length > 0) throw new Error(`left behind:\n${left.join("\n")}`);
  }

  /** Ends all of it; rejects when anything is left then. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#shared?.dispose();
      const listed = await this.backend.list();
      await this.backend.close();
      const left = [...listed.map((id) => `sandbox ${id}`), ...(await this.place.leftovers())];
      if (left.length > 0) throw new Error(`left behind:\n${left.join("\n")}`);
    } finally {
      await this.place[Symbol.asyncDispose]();
      await this.#ground[Symbol.asyncDispose]();
    }
  }
}
