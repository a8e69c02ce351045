import { access, lstat } from "node:fs/promises";
import { join } from "node:path";
import { runOnHost } from "../host-command.ts";
import type { Bind, Rootfs } from "../sandbox/sandbox.ts";
import { chooseInterpreter, type Interpreter, isSystem } from "./interpreters.ts";

/** A program that a task asks for, and why this host cannot give it. */
export interface Missing {
  readonly name: string;
  /** What was expected, and what to install or set. */
  readonly message: string;
}

/** How a required program comes to be on PATH inside. */
export interface Toolchain {
  readonly name: string;
  /** Decides, with the path, the content key. */
  readonly version: string;
  readonly bind?: Bind;
  /** A whole installation that has to be copied (it would not find its own files elsewhere). */
  readonly interpreter?: Interpreter;
  /** The folder inside that PATH gets, when the program is not on it anyway. */
  readonly pathFolder?: string;
}

export interface ToolchainSources {
  readonly nodeBinary: string;
  readonly interpreters: () => Promise<readonly Interpreter[]>;
}

export const BASE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const OLDEST_NODE = 18;

/** Finds each required program: in the root file system, or among what the host keeps elsewhere. Version numbers of what lies in the root file system are the rootfs digest's business. */
export async function resolveRequirements(
  requires: readonly string[],
  rootfs: Rootfs,
  sources: ToolchainSources,
): Promise<{ readonly found: readonly Toolchain[]; readonly missing: readonly Missing[] }> {
  const found: Toolchain[] = [];
  const missing: Missing[] = [];
  for (const name of requires) {
    const one = await resolve(name, rootfs, sources);
    if ("message" in one) missing.push(one);
    else found.push(one);
  }
  return { found, missing };
}

async function resolve(name: string, rootfs: Rootfs, sources: ToolchainSources): Promise<Toolchain | Missing> {
  // What an image has is not looked up on this host: a program that it lacks is missed when it is set up or graded.
  if (rootfs.type === "image") return { name, version: "rootfs" };
  const inside = await onPath(name, rootfs);
  if (name === "node") {
    const version = inside === undefined || rootfs.type !== "host" ? undefined : await nodeVersion(inside);
    if (inside !== undefined && (rootfs.type !== "host" || (version ?? 0) >= OLDEST_NODE))
      return { name, version: "rootfs" };
    return hostNode(sources.nodeBinary);
  }
  if (inside !== undefined) return { name, version: "rootfs" };
  const minor = /^python(\d+(?:\.\d+)?)?$/.exec(name);
  if (minor) return hostPython(name, minor[1], await sources.interpreters());
  const where = rootfs.type === "host" ? "this host's /usr" : rootfs.path;
  return { name, message: `${name} was not found on ${BASE_PATH} of ${where}: install the package that has it` };
}

async function hostNode(binary: string): Promise<Toolchain | Missing> {
  const version = await nodeVersion(binary);
  if ((version ?? 0) < OLDEST_NODE) {
    return {
      name: "node",
      message: `expected Node ${OLDEST_NODE} or newer in /usr or as the one that runs this server`,
    };
  }
  const folder = "/opt/toolchain/node/bin";
  return {
    name: "node",
    version: `${version}`,
    bind: { source: binary, target: `${folder}/node` },
    pathFolder: folder,
  };
}

function hostPython(name: string, minor: string | undefined, all: readonly Interpreter[]): Toolchain | Missing {
  const wanted = minor?.includes(".") ? minor : undefined;
  const own = all.filter((one) => !isSystem(one) && one.version.startsWith(`${minor ?? "3"}.`));
  const interpreter = wanted === undefined ? own.toSorted(newestFirst)[0] : chooseInterpreter(own, wanted);
  if (!interpreter) return { name, message: `no ${name} in /usr, among pyenv's versions or on PATH: install one` };
  return { name, version: interpreter.version, interpreter, pathFolder: `/opt/toolchain/${name}/bin` };
}

function newestFirst(a: Interpreter, b: Interpreter): number {
  return b.version.localeCompare(a.version, "en", { numeric: true });
}

async function onPath(name: string, rootfs: Exclude<Rootfs, { type: "image" }>): Promise<string | undefined> {
  for (const folder of BASE_PATH.split(":")) {
    const path = join(rootfs.type === "host" ? "/" : rootfs.path, folder, name);
    // Links of a foreign root file system point into itself: their being there is all that is asked of it.
    const there = rootfs.type === "host" ? access(path) : lstat(path);
    if (
      await there.then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}

async function nodeVersion(binary: string): Promise<number | undefined> {
  const outcome = await runOnHost({ argv: [binary, "--version"], env: {}, timeoutMs: 20_000 }).catch(() => undefined);
  const major = /^v(\d+)\./.exec(outcome?.stdout ?? "")?.[1];
  return major === undefined ? undefined : Number(major);
}
