import type { Readable } from "node:stream";
import { SandlotError } from "../errors.ts";
import { type HostOutcome, runOnHost, tail } from "../host-command.ts";

export interface GitCall {
  readonly cwd?: string;
  readonly stdin?: string | Readable;
  readonly signal?: AbortSignal;
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * The host's git on repositories that no sandbox wrote: no hooks, no templates, no configuration of the user or the system, no network (a partial clone is never completed behind
 * our back), foreign owners allowed.
 */
export class Git {
  readonly #env: Readonly<Record<string, string>>;

  constructor(hostPath: string) {
    this.#env = { ...CONFIG_ENV, PATH: hostPath, HOME: "/nonexistent", GIT_ALLOW_PROTOCOL: "file" };
  }

  /** The exit code is the caller's to judge. */
  try(args: readonly string[], call: GitCall = {}): Promise<HostOutcome> {
    return runOnHost({
      argv: ["git", ...args],
      env: { ...this.#env, ...call.env },
      timeoutMs: TIMEOUT_MS,
      maxBytes: 256 * 1024 * 1024,
      ...(call.cwd === undefined ? {} : { cwd: call.cwd }),
      ...(call.stdin === undefined ? {} : { stdin: call.stdin }),
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    });
  }

  /** Its stdout; a non-zero exit is an error with the tail of its stderr. */
  async run(args: readonly string[], call: GitCall = {}): Promise<string> {
    const outcome = await this.try(args, call);
    if (outcome.exitCode === 0) return outcome.stdout;
    throw new SandlotError("task", `git ${args[0]} failed on this host: ${tail(outcome.stderr)}`);
  }

  /** A POSIX shell script that calls `git` plainly and gets the same precautions. */
  shell(script: string, args: readonly string[], call: GitCall): Promise<HostOutcome> {
    return runOnHost({
      argv: ["sh", "-c", script, "sh", ...args],
      env: this.#env,
      timeoutMs: TIMEOUT_MS,
      ...(call.cwd === undefined ? {} : { cwd: call.cwd }),
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    });
  }

  /** A pack-objects of `source` piped into an index-pack of `target`: exactly the objects that `revisions` select. */
  async copyObjects(source: string, target: string, options: PackOptions): Promise<void> {
    const script =
      'set -e; git "$@" pack-objects --stdout --quiet --delta-base-offset $PACK_FLAGS | git -C "$TARGET" index-pack --stdin';
    const outcome = await runOnHost({
      argv: ["bash", "-o", "pipefail", "-c", script, "bash", "-C", source],
      env: { ...this.#env, TARGET: target, PACK_FLAGS: options.revisions ? "--revs --missing=allow-any" : "" },
      stdin: options.input,
      timeoutMs: TIMEOUT_MS,
      ...(options.signal ? { signal: options.signal } : {}),
    });
    if (outcome.exitCode !== 0) {
      throw new SandlotError("task", `git could not copy the history out of ${source}: ${tail(outcome.stderr)}`);
    }
  }
}

export interface PackOptions {
  /** Revisions (and all they reach), or bare object ids, one a line. */
  readonly input: string;
  readonly revisions: boolean;
  readonly signal?: AbortSignal;
}

const TIMEOUT_MS = 900_000;

const CONFIG = [
  ["core.hooksPath", "/dev/null"],
  ["core.fsmonitor", "false"],
  ["protocol.file.allow", "always"],
  ["safe.directory", "*"],
  ["gc.auto", "0"],
  ["maintenance.auto", "false"],
  ["init.templateDir", ""],
  ["core.untrackedCache", "false"],
  ["core.logAllRefUpdates", "false"],
  ["advice.detachedHead", "false"],
  ["pack.threads", "2"],
] as const;

/** The precautions as settings of the environment, for a git on the host or in a builder sandbox. */
export const CONFIG_ENV: Readonly<Record<string, string>> = {
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_NO_LAZY_FETCH: "1",
  GIT_NO_REPLACE_OBJECTS: "1",
  GIT_TERMINAL_PROMPT: "0",
  LC_ALL: "C",
  GIT_CONFIG_COUNT: String(CONFIG.length),
  ...Object.fromEntries(
    CONFIG.flatMap(([name, value], index) => [
      [`GIT_CONFIG_KEY_${index}`, name],
      [`GIT_CONFIG_VALUE_${index}`, value],
    ]),
  ),
};
