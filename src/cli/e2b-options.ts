import { availableParallelism, homedir } from "node:os";
import { join } from "node:path";
import type { BackendConfig, Config } from "../config.ts";
import type { E2bOptions } from "../sandbox/e2b/open.ts";
import { filledIn } from "../sandbox/e2b/recipe.ts";
import { WAITS } from "../sandbox/e2b/waits.ts";
import type { CommonOptions } from "../sandbox/options.ts";
import { readKeyFile } from "./input.ts";
import type { Settings } from "./settings.ts";

type E2bConfig = Extract<BackendConfig, { readonly type: "e2b" }>;

export function e2bOptions(
  config: E2bConfig,
  { credentials }: Settings,
  hostPath: string,
): Omit<E2bOptions, keyof CommonOptions> {
  const { api_key_file, templates: kind, tool, registry_type, template_cpu, template_memory_mib } = config;
  return {
    type: "e2b",
    apiKey:
      api_key_file === ""
        ? (credentials.e2bKey ?? "")
        : readKeyFile("backend.api_key_file", api_key_file).toString().trim(),
    domain: config.domain,
    apiUrl: config.api_url,
    sandboxUrl: config.sandbox_url,
    apiVersion: config.api_version,
    maxSandboxes: config.max_sandboxes,
    createsPerSecond: config.creates_per_s,
    templates: {
      ...{ kind, tool, registryType: registry_type, cpu: template_cpu, memoryMiB: template_memory_mib },
      recipes: recipesOf(config),
    },
    waits: WAITS,
    lockDir: join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "sandlot/e2b-builds"),
    hostPath,
    hostImage: config.host_image,
    lifeS: config.life_s,
    pricePerCpuS: config.usd_per_cpu_s,
    pricePerGibS: config.usd_per_gib_s,
  };
}

function recipesOf({ recipes }: E2bConfig): Readonly<Record<string, string>> {
  const read = ([name, { dockerfile: path, args }]: [string, E2bConfig["recipes"][string]]): [string, string] => {
    const text = readKeyFile(`backend.recipes.${name}.dockerfile`, path).toString();
    return [name, filledIn({ path, text, args })];
  };
  return Object.fromEntries(Object.entries(recipes).map(read));
}

/** How much is done at once. */
export interface Room {
  readonly sandboxes: number;
  readonly gradings: number;
  /** Made before they are asked for. */
  readonly warm: number;
}

/** Of an account with a cap a part is left to grading, which needs up to two machines for each, and one to preparing: else rollouts that hold all of it would wait for their own grades. */
export function roomOf({ backend, sandboxes, grading, warm }: Config): Room {
  const slots = grading.slots === "auto" ? availableParallelism() : grading.slots;
  if (backend.type !== "e2b") return { sandboxes: sandboxes.total, gradings: slots, warm: warm.total };
  const gradings = Math.max(1, Math.min(slots, Math.floor(backend.max_sandboxes / 4)));
  return {
    sandboxes: Math.max(1, Math.min(sandboxes.total, backend.max_sandboxes - 2 * gradings - 1)),
    gradings,
    warm: 0,
  };
}
