import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { SandlotError } from "../../errors.ts";
import { lockFile } from "../../shelf/lock.ts";
import type { ImageWatch } from "../sandbox.ts";
import { Builds, type BuildWish } from "./builds.ts";
import { type Control, ServiceError } from "./control.ts";

/** Where sandboxes of an image come from, by what the service offers. */
export interface TemplateOptions {
  /**
   * `build`: a template per image, built when it is missing. `tool`: one that is there already, which takes the image from the sandbox's metadata. `named`: one per image, made
   * elsewhere, named after the image's last part and tag.
   */
  readonly kind: "build" | "tool" | "named";
  /** With `tool`: its name. */
  readonly tool: string;
  /** With `tool`: the kind of registry that its images are in. */
  readonly registryType: string;
  readonly cpu: number;
  readonly memoryMiB: number;
  /** With `build`: images that no registry needs to have, by name; each a Dockerfile as `filledIn` gives it. */
  readonly recipes: Readonly<Record<string, string>>;
}

/** What a sandbox is asked for with. */
export interface Origin {
  readonly templateId: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Changes when templates would be built otherwise. */
const RECIPE = 1;

export interface TemplatesOptions extends TemplateOptions {
  /** A folder that all servers of this user on this host have in common. */
  readonly lockDir: string;
  /** The PATH on which `flock` is found. */
  readonly hostPath: string;
}

const ATTEMPTS = 5;

/** The templates of images. */
export class Templates {
  readonly #builds: Builds;
  readonly #options: TemplatesOptions;
  readonly #known = new Map<string, Promise<Origin>>();

  constructor(control: Control, options: TemplatesOptions) {
    this.#builds = new Builds(control);
    this.#options = options;
  }

  /** Built when it is missing, once however many ask. Fault `task`: there is no such image; fault `sandbox`: the service failed. */
  of(ref: string, watch: ImageWatch): Promise<Origin> {
    const known = this.#known.get(ref);
    if (known !== undefined) return known;
    const found = this.#find(ref, watch);
    this.#known.set(ref, found);
    found.catch(() => this.#known.delete(ref));
    return found;
  }

  /** Looks for it anew the next time: the service does not have it any more. */
  forget(ref: string): void {
    this.#known.delete(ref);
  }

  /** What decides the content of its sandboxes. */
  digestOf(ref: string, { templateId, metadata }: Origin): string {
    const { cpu, memoryMiB } = this.#options;
    const decides = JSON.stringify([ref, templateId, metadata, cpu, memoryMiB]);
    return `sha256:${createHash("sha256").update(decides).digest("hex")}`;
  }

  async #find(ref: string, watch: ImageWatch): Promise<Origin> {
    const { kind, tool, registryType, cpu, memoryMiB } = this.#options;
    if (kind === "named") return { templateId: toolName(ref), metadata: {} };
    if (kind === "tool") {
      const resources = { cpu: String(cpu), memory: `${memoryMiB}Mi` };
      const custom = { image: ref, imageRegistryType: registryType, resources };
      return { templateId: tool, metadata: { "x-custom-config": JSON.stringify(custom) } };
    }
    const name = templateName(ref, { ...this.#options, dockerfile: this.#options.recipes[ref] });
    const templateId = (await this.#builds.ready(name, watch)) ?? (await this.#build(ref, name, watch));
    return { templateId, metadata: {} };
  }

  /** One server of this host at a time; of several hosts those that come second wait for the first one's, which the service tells by its name. */
  async #build(ref: string, name: string, watch: ImageWatch): Promise<string> {
    const { cpu, memoryMiB, hostPath, lockDir, recipes } = this.#options;
    const wish = { name, image: ref, dockerfile: recipes[ref], cpu, memoryMiB };
    await mkdir(lockDir, { recursive: true, mode: 0o700 });
    const path = join(lockDir, `${name}.lock`);
    const lock = await lockFile({ path, mode: "exclusive", wait: true, signal: watch.signal, hostPath });
    try {
      return await this.#buildLocked(wish, watch);
    } finally {
      await lock?.[Symbol.asyncDispose]();
    }
  }

  async #buildLocked(wish: BuildWish, watch: ImageWatch): Promise<string> {
    const { name, image: ref } = wish;
    const until = performance.now() + this.#builds.patienceMs;
    for (let attempt = 1; attempt <= ATTEMPTS; ) {
      const there = await this.#builds.ready(name, watch);
      if (there !== undefined) return there;
      watch.report({ message: `building the template ${name} from ${ref}` });
      try {
        const built = await this.#builds.build(wish, watch);
        if (built !== undefined) return built;
        attempt += 1;
      } catch (error) {
        watch.signal.throwIfAborted();
        if (!(error instanceof ServiceError)) throw error;
        if (error.status !== 429) {
          const words = `no template could be built from the image ${ref}: ${error.message}`;
          throw new SandlotError("sandbox", words, { cause: error });
        }
        // Meanwhile another server may have built it.
        if (performance.now() > until) throw noRoom(ref, error);
        watch.report({ message: `the template ${name} waits: ${error.message}` });
      }
    }
    throw new SandlotError("sandbox", `other servers went on building the template ${name} instead of this one`);
  }
}

/** Of the account's builds at once, or of its requests in a time. */
function noRoom(ref: string, cause: ServiceError): SandlotError {
  const words = `the service had no room to build a template from the image ${ref}: ${cause.message}`;
  return new SandlotError("busy", words, { cause, retryAfterMs: 10_000 });
}

/** Readable in front, unmistakable behind: the service takes lower-case letters, digits, dashes and underscores. */
export function templateName(
  ref: string,
  {
    cpu,
    memoryMiB,
    dockerfile,
  }: Pick<TemplateOptions, "cpu" | "memoryMiB"> & { readonly dockerfile?: string | undefined },
): string {
  const slug = ref
    .toLowerCase()
    .replace(/@sha256:[0-9a-f]+$/, "")
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "")
    .slice(-40)
    .replace(/^-/, "");
  const own = dockerfile === undefined ? [] : [dockerfile];
  const hash = createHash("sha256").update(JSON.stringify([ref, cpu, memoryMiB, RECIPE, ...own]));
  return `sandlot-${slug}-${hash.digest("hex").slice(0, 16)}`;
}

const TOOL_NAME = 50;

/** As tools for images are named by those who make them: the last part of the repository, a dash, the whole tag; 50 characters, of which the repository gives way. */
export function toolName(ref: string): string {
  const [path = "", tag = "latest"] = /^(.*?)(?::([^:/@]+))?(?:@.*)?$/.exec(ref)?.slice(1) ?? [];
  const plain = (text: string): string => text.replace(/[^A-Za-z0-9_-]/g, "-").replace(/-+/g, "-");
  const end = `-${plain(tag)}`.slice(0, TOOL_NAME);
  const repository = plain(path.slice(path.lastIndexOf("/") + 1));
  return `${repository.slice(0, TOOL_NAME - end.length)}${end}`.replace(/-+/g, "-").replace(/^-|-$/g, "");
}
