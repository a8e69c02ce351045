import { access } from "node:fs/promises";
import { runOnHost } from "../../host-command.ts";
import type { Bind } from "../../sandbox/sandbox.ts";

/** How this host's own pip reaches a package index. Plain data from the command line's environment. */
export interface PackageIndex {
  /** The variables that decide it (`packageIndexVariables`). */
  readonly variables: Readonly<Record<string, string>>;
}

/** The pip settings of this host as a builder sandbox gets them. */
export interface PipAccess {
  /** Base addresses, the main one first. */
  readonly indexes: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly binds: readonly Bind[];
}

/** Of an environment: what pip and its HTTP client read, and where the user's pip configuration lies. */
export function packageIndexVariables(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const wanted =
    /^(PIP_\w+|(https?|no|all)_proxy|SSL_CERT_FILE|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|HOME|XDG_CONFIG_HOME)$/i;
  const entries = Object.entries(env).filter(
    (entry): entry is [string, string] => wanted.test(entry[0]) && entry[1] !== undefined,
  );
  return Object.fromEntries(entries);
}

/** Reads the settings of `python -m pip` on this host. Folders of this host (find-links, file:// indexes) do not come along: a sandbox has none of them. */
export async function pipAccess(python: string, index: PackageIndex, signal: AbortSignal): Promise<PipAccess> {
  const listed = await runOnHost({
    argv: [python, "-m", "pip", "config", "list"],
    env: index.variables,
    timeoutMs: 60_000,
    signal,
  });
  const settings = parseSettings(listed.stdout);
  const env: Record<string, string> = {};
  for (const [name, value] of settings) {
    const kept = PASSED.has(name) ? value : URLS.has(name) ? onlyHttp(value) : "";
    if (kept !== "") env[`PIP_${name.toUpperCase().replaceAll("-", "_")}`] = kept;
  }
  for (const [name, value] of Object.entries(index.variables)) if (/_proxy$/i.test(name)) env[name] = value;
  const indexes = [env["PIP_INDEX_URL"] ?? PYPI, ...(env["PIP_EXTRA_INDEX_URL"]?.split(" ") ?? [])];
  const { variables } = index;
  const candidates = [
    settings.get("cert"),
    variables["REQUESTS_CA_BUNDLE"],
    variables["SSL_CERT_FILE"],
    variables["CURL_CA_BUNDLE"],
  ];
  const bundle = await firstThere(candidates);
  if (bundle === undefined) return { indexes, env, binds: [] };
  const trust = { PIP_CERT: CA_INSIDE, SSL_CERT_FILE: CA_INSIDE, REQUESTS_CA_BUNDLE: CA_INSIDE };
  return { indexes, env: { ...env, ...trust }, binds: [{ source: bundle, target: CA_INSIDE }] };
}

const PYPI = "https://pypi.org/simple";
const CA_INSIDE = "/opt/toolchain/ca-bundle.pem";
const PASSED = new Set(["trusted-host", "timeout", "default-timeout", "proxy", "retries"]);
const URLS = new Set(["index-url", "extra-index-url"]);

/** Lines such as `global.index-url='https://...'` and `:env:.cert='...'`; what is set in the environment wins. */
function parseSettings(text: string): Map<string, string> {
  const lines = [...text.matchAll(/^(:env:|[\w-]+)\.([\w-]+)='(.*)'$/gm)];
  const rank = (section: string | undefined): number => (section === ":env:" ? 2 : section === "install" ? 1 : 0);
  lines.sort((a, b) => rank(a[1]) - rank(b[1]));
  return new Map(lines.map(([, , name = "", value = ""]) => [name, value]));
}

function onlyHttp(value: string): string {
  const urls = value.split(/\s+/).filter((url) => /^https?:/.test(url));
  return urls.join(" ");
}

async function firstThere(paths: readonly (string | undefined)[]): Promise<string | undefined> {
  for (const path of paths) {
    if (path === undefined) continue;
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}
