import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { Config, parseConfig } from "../config.ts";
import { SandlotError } from "../errors.ts";
import { Credentials } from "./credentials.ts";

/** What the command line, the environment and the configuration come to. */
export interface Settings {
  readonly config: Config;
  readonly listen: string;
  /** Absolute. */
  readonly stateDir: string;
  /** Absolute, of JSON lines. */
  readonly taskFiles: readonly string[];
  readonly repositories: readonly string[];
  readonly credentials: Credentials;
}

/** Options of every command that opens a stack of its own. */
export const STACK_OPTIONS = {
  config: { type: "string" },
  state: { type: "string" },
  tasks: { type: "string", multiple: true },
} as const;

export const STACK_HELP = `  --config FILE      settings (else SANDLOT_CONFIG; see config/sandlot.yaml)
  --state DIR        state folder (else SANDLOT_STATE, the configuration, or $XDG_STATE_HOME/sandlot)
  --tasks FILE       more tasks, as JSON lines; may be repeated`;

export interface StackFlags {
  readonly config?: string | undefined;
  readonly state?: string | undefined;
  readonly tasks?: readonly string[] | undefined;
  readonly listen?: string | undefined;
}

const CREDENTIALS = join(import.meta.dirname, "../../secrets/credentials.txt");

/** Flags go before the environment, the environment before the configuration. */
export function readSettings(flags: StackFlags, env: NodeJS.ProcessEnv = process.env): Settings {
  const file = flags.config ?? env["SANDLOT_CONFIG"];
  const config = file ? parseConfig(readText(file), file) : Config.parse({});
  const clones = env["SANDLOT_REPOSITORIES"];
  return {
    config,
    listen: flags.listen ?? (env["SANDLOT_LISTEN"] || config.listen),
    stateDir: resolve(flags.state ?? (env["SANDLOT_STATE"] || config.state_dir || defaultState(env))),
    taskFiles: [...config.tasks.files, ...(flags.tasks ?? [])].map((path) => resolve(path)),
    repositories: [...(clones ? [clones] : []), ...config.repositories].map((path) => resolve(path)),
    credentials: Credentials.read(CREDENTIALS, env),
  };
}

function defaultState(env: NodeJS.ProcessEnv): string {
  return join(env["XDG_STATE_HOME"] || join(homedir(), ".local/state"), "sandlot");
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new SandlotError("invalid", `--config: cannot read ${file}`, { field: "config", cause });
  }
}
