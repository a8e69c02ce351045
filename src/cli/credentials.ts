import { lstatSync } from "node:fs";
import { inspect } from "node:util";
import { SandlotError } from "../errors.ts";
import type { Scope, Token } from "../server/authorize.ts";
import { readInput } from "./input.ts";

const SCOPES: readonly Scope[] = ["rollout", "sandbox", "hidden", "admin"];
const PREFIX = "SANDLOT_TOKEN_";
/** Of the hub that has the data sets. */
const HUB_TOKEN = "HF_TOKEN";
/** Of the service that lends machines. */
const E2B_KEY = "E2B_API_KEY";

/**
 * All secrets of this process: `KEY=value` lines of a file, and above them the environment. `SANDLOT_TOKEN_<NAME>=<token> [scope,scope]`
 * admits clients; without scopes a token has `rollout`. `HF_TOKEN` opens private data sets of the hub, `E2B_API_KEY` the account whose machines the e2b backend uses. Shows nothing when it is printed or logged.
 */
export class Credentials {
  readonly #values: ReadonlyMap<string, string>;

  constructor(values: ReadonlyMap<string, string>) {
    this.#values = values;
  }

  static read(file: string, env: Readonly<Record<string, string | undefined>>): Credentials {
    const values = new Map(parseLines(readIfThere(file), file));
    for (const [key, value] of Object.entries(env)) {
      if ((key.startsWith(PREFIX) || key === HUB_TOKEN || key === E2B_KEY) && value) values.set(key, value);
    }
    return new Credentials(values);
  }

  get tokens(): readonly Token[] {
    return [...this.#values].filter(([key]) => key.startsWith(PREFIX)).map(([key, value]) => toToken(key, value));
  }

  get hubToken(): string | undefined {
    return this.#values.get(HUB_TOKEN) || undefined;
  }

  get e2bKey(): string | undefined {
    return this.#values.get(E2B_KEY) || undefined;
  }

  /** Replaces every secret in a text. */
  redact(text: string): string {
    const secrets = [...this.#values.values()].flatMap((value) => value.split(/\s+/)[0] ?? []);
    return secrets
      .filter((secret) => secret.length >= 6)
      .reduce((clean, one) => clean.replaceAll(one, "[redacted]"), text);
  }

  toJSON(): string {
    return "[redacted]";
  }

  [inspect.custom](): string {
    return "[redacted]";
  }
}

function toToken(key: string, value: string): Token {
  const [token = "", words = "rollout", ...rest] = value.split(/\s+/);
  const scopes = words.split(",");
  const known = scopes.filter((word): word is Scope => SCOPES.some((scope) => scope === word));
  if (token.length >= 8 && known.length === scopes.length && rest.length === 0) return { token, scopes: known };
  throw new SandlotError(
    "invalid",
    `${key}: expected a token of at least 8 characters and, after a blank, scopes of ${SCOPES.join(", ")} separated by commas`,
    { field: key },
  );
}

function readIfThere(file: string): string {
  // Not `existsSync`: a folder that cannot be entered would look like no tokens at all.
  try {
    lstatSync(file);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
  }
  return readInput("credentials", file).toString();
}

function parseLines(text: string, file: string): [string, string][] {
  return text.split("\n").flatMap((line, index): [string, string][] => {
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) return [];
    const [, key, value] = /^([A-Z][A-Z0-9_]*)=(.*)$/.exec(trimmed) ?? [];
    if (key !== undefined && value !== undefined) return [[key, value.trim()]];
    throw new SandlotError("invalid", `${file}:${index + 1}: expected KEY=value`, { field: "credentials" });
  });
}
