import { access, constants, readdir, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { runOnHost } from "../host-command.ts";

/** A Python of this host. */
export interface Interpreter {
  /** `3.9.18` */
  readonly version: string;
  /** Its installation prefix, e.g. a pyenv version folder or `/usr`. */
  readonly prefix: string;
  readonly executable: string;
}

export interface InterpreterPlaces {
  /** Folders whose entries are installation prefixes, e.g. `~/.pyenv/versions`. */
  readonly versionFolders: readonly string[];
  /** Installation prefixes, or executables, named one by one. */
  readonly named: readonly string[];
  /** Where `python3.N` is looked up. */
  readonly hostPath: string;
}

/**
 * Every Python found, each installation once, in order of preference: named ones, then those in version folders, then on PATH. Nothing is run but the interpreters themselves, to ask
 * for version and prefix.
 */
export async function findInterpreters(places: InterpreterPlaces): Promise<readonly Interpreter[]> {
  const candidates = [
    ...(await Promise.all(places.named.map(executablesOf))).flat(),
    ...(await Promise.all(places.versionFolders.map(inVersionFolder))).flat(),
    ...(await Promise.all(places.hostPath.split(":").map(pythonsIn))).flat(),
  ];
  const real = await Promise.all(candidates.map((path) => realpath(path).catch(() => undefined)));
  const distinct = [...new Set(real.filter((path) => path !== undefined))];
  const asked = await Promise.all(distinct.map(ask));
  const seen = new Set<string>();
  return asked
    .filter((found) => found !== undefined)
    .filter((found) => {
      const id = `${found.prefix} ${found.version}`;
      return !seen.has(id) && seen.add(id);
    });
}

/** The one of the wanted minor version (`3.9`), the newest patch release first; own installations before the system's. */
export function chooseInterpreter(all: readonly Interpreter[], minor: string): Interpreter | undefined {
  const fitting = all.filter((found) => found.version.startsWith(`${minor}.`));
  const rank = (found: Interpreter): number =>
    Number(isSystem(found)) * 1000 - Number(found.version.split(".")[2] ?? 0);
  return fitting.toSorted((a, b) => rank(a) - rank(b))[0];
}

/** An interpreter that is part of the root file system and cannot be copied as a prefix of its own. */
export function isSystem(found: Interpreter): boolean {
  return found.prefix === "/usr" || found.prefix === "/";
}

async function executablesOf(place: string): Promise<readonly string[]> {
  return /^python[\d.]*$/.test(basename(place)) && (await isExecutable(place))
    ? [place]
    : pythonsIn(join(place, "bin"));
}

async function inVersionFolder(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch(() => []);
  return (await Promise.all(names.sort().map((name) => pythonsIn(join(folder, name, "bin"))))).flat();
}

async function pythonsIn(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch(() => []);
  const found = names.filter((name) => /^python\d+\.\d+$/.test(name)).map((name) => join(folder, name));
  const runnable = await Promise.all(found.map(isExecutable));
  return found.filter((_, index) => runnable[index]);
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function ask(executable: string): Promise<Interpreter | undefined> {
  // Isolated: no user site, no PYTHON variables. A shim that is no Python, or a broken one, is passed over.
  const question = "import sys; print('%d.%d.%d' % sys.version_info[:3]); print(sys.base_prefix)";
  const outcome = await runOnHost({ argv: [executable, "-E", "-s", "-c", question], env: {}, timeoutMs: 20_000 }).catch(
    () => undefined,
  );
  const [version, prefix] = outcome?.stdout.trim().split("\n") ?? [];
  if (outcome?.exitCode !== 0 || !version || !prefix) return undefined;
  return {
    version,
    prefix,
    executable: dirname(executable) === join(prefix, "bin") ? executable : join(prefix, "bin", basename(executable)),
  };
}
