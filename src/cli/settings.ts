import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { Config, parseConfig, type TaskSetConfig } from "../config.ts";
import { SandlotError } from "../errors.ts";
import { OFFICIAL_RULES } from "../verdict/official/repositories.ts";
import { UsageError, whole } from "./arguments.ts";
import { Credentials } from "./credentials.ts";
import { readInput } from "./input.ts";

/** What the command line, the environment and the configuration come to. */
export interface Settings {
  readonly config: Config;
  readonly listen: string;
  /** Absolute. */
  readonly stateDir: string;
  readonly taskSets: readonly TaskSetConfig[];
  readonly hub: HubSettings;
  readonly repositories: readonly string[];
  readonly credentials: Credentials;
}

export interface HubSettings {
  readonly endpoint: string;
  /** Absolute. */
  readonly cache: string;
  /** Absolute. */
  readonly lock: string;
}

/** Options of every command that opens a stack of its own. */
export const STACK_OPTIONS = {
  config: { type: "string" },
  state: { type: "string" },
  tasks: { type: "string", multiple: true },
  instances: { type: "string" },
  offset: { type: "string" },
  limit: { type: "string" },
  family: { type: "string" },
  harness: { type: "string" },
  rule: { type: "string" },
} as const;

export const STACK_HELP = `  --config FILE      settings (else SANDLOT_CONFIG; see config/sandlot.yaml)
  --state DIR        state folder (else SANDLOT_STATE, the configuration, or $XDG_STATE_HOME/sandlot)
  --tasks SOURCE     more tasks: a file (.jsonl, .json, .parquet), or a data set on the hub as owner/name[@REVISION][:SPLIT];
                     may be repeated
  --instances FILE   of those, or else of the data set that FILE names, only the rows whose ids it lists
  --offset N         of those, without the first N
  --limit N          of those, at most N
  --family NAME      of which family they are, where their columns do not tell (see docs/tasks.md)
  --harness DIR      a copy of the family's public code, for what its rows leave to it
  --rule RULE        as which release of the harness rows of SWE-bench are graded: swebench@5.0.2 (the default) or
                     swebench@4.1.0`;

export interface StackFlags {
  readonly config?: string | undefined;
  readonly state?: string | undefined;
  readonly tasks?: readonly string[] | undefined;
  readonly instances?: string | undefined;
  readonly offset?: string | undefined;
  readonly limit?: string | undefined;
  readonly family?: string | undefined;
  readonly harness?: string | undefined;
  readonly rule?: string | undefined;
  readonly lock?: string | undefined;
  readonly listen?: string | undefined;
}

const ROOT = join(import.meta.dirname, "../..");
const CREDENTIALS = join(ROOT, "secrets/credentials.txt");
const DATASET_LOCK = join(ROOT, "config/dataset.lock");
const HUB = "https://huggingface.co";

/** Flags go before the environment, the environment before the configuration. */
export function readSettings(flags: StackFlags, env: NodeJS.ProcessEnv = process.env): Settings {
  const file = flags.config ?? env["SANDLOT_CONFIG"];
  const named = flags.config === undefined ? "SANDLOT_CONFIG" : "--config";
  const config = file ? parseConfig(readInput(named, file).toString(), file) : Config.parse({});
  const clones = env["SANDLOT_REPOSITORIES"];
  const stateDir = resolve(flags.state ?? (env["SANDLOT_STATE"] || config.state_dir || defaultState(env)));
  return {
    config,
    listen: flags.listen ?? (env["SANDLOT_LISTEN"] || config.listen),
    stateDir,
    taskSets: taskSets(config, flags),
    hub: {
      endpoint: hubEndpoint(env["HF_ENDPOINT"] || HUB),
      cache: join(stateDir, "datasets"),
      lock: resolve(flags.lock ?? (config.tasks.lock || DATASET_LOCK)),
    },
    repositories: [...(clones ? [clones] : []), ...config.repositories].map((path) => resolve(path)),
    credentials: Credentials.read(CREDENTIALS, env),
  };
}

/** What the flags name is one set of its own: the slice is of it alone. */
function taskSets({ tasks }: Config, flags: StackFlags): readonly TaskSetConfig[] {
  const offset = whole(flags.offset, "--offset") ?? 0;
  const limit = whole(flags.limit, "--limit", 1) ?? 0;
  const { tasks: from = [], instances = "", family = "", harness = "" } = flags;
  const rule = ruleOf(flags.rule);
  const named: TaskSetConfig = { from: [...from], instances, offset, limit, family, harness, rule, backend: "" };
  const isNamed = named.from.length > 0 || named.instances !== "";
  if (!isNamed && (offset + limit > 0 || family !== "" || harness !== "" || flags.rule !== undefined))
    throw new UsageError("--offset, --limit, --family, --harness and --rule are of what --tasks or --instances names");
  const files = wholeOf(tasks.files);
  return [...(files.from.length > 0 ? [files] : []), ...tasks.sets, ...(isNamed ? [named] : [])];
}

/** All tasks of these sources. */
export function wholeOf(from: readonly string[]): TaskSetConfig {
  const whole = { instances: "", offset: 0, limit: 0, family: "", harness: "", backend: "" };
  return { from: [...from], ...whole, rule: OFFICIAL_RULES[0] };
}

function ruleOf(name: string | undefined): TaskSetConfig["rule"] {
  const rule = name === undefined ? OFFICIAL_RULES[0] : OFFICIAL_RULES.find((one) => one === name);
  if (rule !== undefined) return rule;
  throw new UsageError(`--rule: expected ${OFFICIAL_RULES.join(" or ")}, got ${JSON.stringify(name)}`);
}

function hubEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:" || url?.protocol === "http:") return text.replace(/\/+$/, "");
  throw new SandlotError("invalid", `HF_ENDPOINT: expected the address of a hub, got ${JSON.stringify(text)}`, {
    field: "HF_ENDPOINT",
  });
}

function defaultState(env: NodeJS.ProcessEnv): string {
  return join(env["XDG_STATE_HOME"] || join(homedir(), ".local/state"), "sandlot");
}
