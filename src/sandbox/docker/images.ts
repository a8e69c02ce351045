import { SandlotError } from "../../errors.ts";
import { faultOf, variablesOf } from "../image-words.ts";
import type { Image, Images, ImageWatch } from "../sandbox.ts";
import { type Engine, readable, statusOf } from "./engine.ts";
import { hearProgress, type Told } from "./progress.ts";

export type Pull = "missing" | "never" | "always";

/** The images that an engine has or can fetch, by name. */
export class EngineImages implements Images {
  readonly #engine: Engine;
  readonly #pull: Pull;

  constructor(engine: Engine, pull: Pull) {
    this.#engine = engine;
    this.#pull = pull;
  }

  /** The digest is the engine's id of the image, that of its configuration: it decides the content, also of an image that no registry has. */
  async resolve(ref: string, watch: ImageWatch): Promise<Image> {
    const name = withTag(ref);
    const present = this.#pull === "always" ? undefined : await this.#find(name);
    if (present !== undefined) return present;
    if (this.#pull === "never") {
      const words = `the container engine has no image ${ref}, and backend.pull is never`;
      throw new SandlotError("task", words, { field: "image", knob: "backend.pull" });
    }
    await this.#fetch(name, watch);
    const fetched = await this.#find(name);
    if (fetched === undefined) throw new SandlotError("sandbox", `the image ${ref} was pulled and is not there`);
    return fetched;
  }

  async #find(name: string): Promise<Image | undefined> {
    const { docker } = this.#engine;
    try {
      const { Id, Config } = await this.#engine.read(`look for the image ${name}`, () =>
        docker.getImage(name).inspect(),
      );
      return {
        digest: Id.startsWith("sha256:") ? Id : `sha256:${Id}`,
        env: variablesOf(Config.Env ?? []),
        workdir: Config.WorkingDir,
        user: Config.User,
      };
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      // A name that no image can have.
      if (error instanceof SandlotError && statusOf(error) !== undefined && faultOf(error.message) === "task")
        throw new SandlotError("task", error.message, { field: "image", cause: error });
      throw error;
    }
  }

  async #fetch(name: string, { signal, report }: ImageWatch): Promise<void> {
    const { docker } = this.#engine;
    const failed = (words: string): SandlotError => refused(name, words);
    report({ message: `pulling ${name}` });
    try {
      const stream = await this.#engine.act(`pull ${name}`, () => docker.pull(name, { abortSignal: signal }));
      if (stream === undefined) return;
      const parts = new Map<string, { readonly current: number; readonly total: number }>();
      await hearProgress(readable(stream), (told) => report(progressOf(name, told, parts)), {
        failed,
        silenceMs: this.#engine.waits.silenceMs,
      });
    } catch (error) {
      signal.throwIfAborted();
      if (statusOf(error) === undefined || !(error instanceof Error)) throw error;
      throw refused(name, error.message);
    }
  }
}

/** Without a tag an engine would pull every one that there is. */
function withTag(ref: string): string {
  return /(:[\w.-]+|@sha256:[0-9a-f]{64})$/.test(ref) || /^sha256:[0-9a-f]{64}$/.test(ref) ? ref : `${ref}:latest`;
}

function refused(name: string, words: string): SandlotError {
  return new SandlotError(faultOf(words), `the image ${name} could not be pulled: ${words}`, { field: "image" });
}

function progressOf(
  name: string,
  { status, stream, id, progressDetail }: Told,
  parts: Map<string, { readonly current: number; readonly total: number }>,
): { readonly message: string; readonly fraction?: number } {
  const { current, total } = progressDetail ?? {};
  if (id !== undefined && current !== undefined && total !== undefined) parts.set(id, { current, total });
  const sum = (of: "current" | "total"): number => [...parts.values()].reduce((all, part) => all + part[of], 0);
  const message = `${name}: ${[id, status ?? stream?.trim()].filter((word) => word).join(" ")}`.slice(0, 200);
  return { message, ...(sum("total") > 0 && { fraction: Math.min(1, sum("current") / sum("total")) }) };
}
