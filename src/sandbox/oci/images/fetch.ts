import { join } from "node:path";
import { SandlotError } from "../../../errors.ts";
import { type HostOutcome, runOnHost, tail } from "../../../host-command.ts";
import { faultOf } from "../../image-words.ts";
import { wholeName, withoutTag } from "./reference.ts";

export interface Fetching {
  readonly name: string;
  /** An empty folder, for what is fetched and the program's own files. */
  readonly scratch: string;
  /** The environment of the programs: PATH, and where they look for credentials and engines. */
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly report: (message: string) => void;
}

export type Fetched =
  | { readonly type: "layout"; readonly path: string; readonly tag: string }
  | { readonly type: "archive"; readonly path: string; readonly name: string };

/** A program of this host that can bring an image. */
interface Tool {
  readonly name: string;
  /** Whether it has the image without a registry. */
  has(fetching: Fetching): Promise<boolean>;
  fetch(fetching: Fetching): Promise<Fetched>;
}

const TIMEOUT_MS = 3_600_000;
const LOOK_MS = 30_000;

const skopeo: Tool = {
  name: "skopeo",
  has: async () => false,
  async fetch(fetching) {
    const path = join(fetching.scratch, "layout");
    const policy = ["--insecure-policy", "copy", "--quiet", "--retry-times", "2"];
    await need(fetching, ["skopeo", ...policy, `docker://${withoutTag(fetching.name)}`, `oci:${path}:image`]);
    return { type: "layout", path, tag: "image" };
  },
};

const podman: Tool = {
  name: "podman",
  has: async (fetching) => (await run(fetching, ["podman", "image", "exists", fetching.name], LOOK_MS)).exitCode === 0,
  async fetch(fetching) {
    // A name without a registry means to it what this host's configuration says, and without one nothing.
    const there = await podman.has(fetching);
    const name = there ? fetching.name : wholeName(fetching.name);
    if (!there) await need(fetching, ["podman", "pull", "--quiet", name]);
    const path = join(fetching.scratch, "image.tar");
    await need(fetching, ["podman", "save", "--quiet", "--format", "docker-archive", "--output", path, name]);
    return { type: "archive", path, name: "" };
  },
};

const docker: Tool = {
  name: "docker",
  has: async (fetching) =>
    (await run(fetching, ["docker", "image", "inspect", "--format", "{{.Id}}", fetching.name], LOOK_MS)).exitCode === 0,
  async fetch(fetching) {
    if (!(await docker.has(fetching))) await need(fetching, ["docker", "pull", "--quiet", fetching.name]);
    const path = join(fetching.scratch, "image.tar");
    await need(fetching, ["docker", "save", "--output", path, fetching.name]);
    return { type: "archive", path, name: "" };
  },
};

/** In the order in which they are asked to bring what none of them has. */
const TOOLS: readonly Tool[] = [skopeo, podman, docker];

/** The programs of this host that can bring an image by its name; what `--version` says, by program. */
export async function imageTools(env: Readonly<Record<string, string>>): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const { name } of TOOLS) {
    const asked = await runOnHost({ argv: [name, "--version"], env, timeoutMs: LOOK_MS }).catch(() => undefined);
    if (asked?.exitCode === 0) found.set(name, asked.stdout.trim().split("\n")[0] ?? "");
  }
  return found;
}

/**
 * Brings an image by its name: from an engine of this host that has it, else from its registry by the first program that is here. Fault `unsupported`: none is; `task`: there is no such image; `sandbox`:
 * whoever keeps it does not answer.
 */
export async function fetchImage(fetching: Fetching): Promise<Fetched> {
  const there = await imageTools(fetching.env);
  const tools = TOOLS.filter(({ name }) => there.has(name));
  const [first] = tools;
  if (first === undefined) throw noTools(fetching.name);
  for (const tool of tools) {
    if (!(await tool.has(fetching))) continue;
    fetching.report(`taking ${fetching.name} from ${tool.name}`);
    return tool.fetch(fetching);
  }
  fetching.report(`fetching ${fetching.name} by ${first.name}`);
  return first.fetch(fetching);
}

export function noTools(name: string): SandlotError {
  return new SandlotError(
    "unsupported",
    `the image ${name} cannot be fetched: install skopeo ("apt-get install skopeo"), podman or docker, or put what \`docker save\` writes into a folder of backend.images`,
    { field: "environment.rootfs", knob: "backend.images" },
  );
}

function run({ env, scratch, signal }: Fetching, argv: [string, ...string[]], timeoutMs: number): Promise<HostOutcome> {
  return runOnHost({ argv, env: { ...env, TMPDIR: scratch }, timeoutMs, signal });
}

async function need(fetching: Fetching, argv: [string, ...string[]]): Promise<void> {
  const { exitCode, stderr } = await run(fetching, argv, TIMEOUT_MS);
  if (exitCode === 0) return;
  const said = tail(stderr, 1024);
  throw new SandlotError(faultOf(said), `${argv[0]} could not bring the image ${fetching.name}: ${said}`, {
    field: "environment.rootfs",
  });
}
