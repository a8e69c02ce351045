import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SandlotError } from "../errors.ts";
import { runOnHost, tail } from "../host-command.ts";
import type { Interpreter } from "./interpreters.ts";

/** What decides the content of an interpreter's copy. */
export function interpreterIdentity(interpreter: Interpreter, at: string): readonly string[] {
  return ["interpreter 1", interpreter.version, interpreter.prefix, at];
}

/**
 * Copies an interpreter's installation prefix into `layer`, to be used at the absolute folder `at` inside: the standard library without its tests, the headers, no installed packages. A
 * copy, not a virtual environment: programs that link to `python` find its packages. Paths of the host inside it (library search path, build settings) are
 * rewritten to where it lies now.
 */
export async function copyInterpreter(
  interpreter: Interpreter,
  layer: string,
  at: string,
  host: { readonly hostPath: string; readonly signal: AbortSignal },
): Promise<void> {
  const minor = interpreter.version.split(".").slice(0, 2).join(".");
  const target = join(layer, at);
  await mkdir(target, { recursive: true, mode: 0o755 });
  const outcome = await runOnHost({
    argv: ["bash", "-c", COPY, "bash", interpreter.prefix, target, minor],
    env: { PATH: host.hostPath, LC_ALL: "C" },
    timeoutMs: 300_000,
    signal: host.signal,
  });
  if (outcome.exitCode !== 0) {
    throw new SandlotError(
      "task",
      `copying Python ${interpreter.version} of ${interpreter.prefix} failed: ${tail(outcome.stderr)}`,
    );
  }
  await relocateLibraries(interpreter.prefix, target, minor);
  await rewriteBuildSettings(interpreter.prefix, at, join(target, "lib", `python${minor}`));
}

const COPY = `
set -euo pipefail
shopt -s nullglob
cd "$1"
tar -cf - --exclude='*/site-packages/*' --exclude="lib/python$3/test" --exclude='*.a' --exclude='*.opt-?.pyc' --exclude='*/idlelib' \
  bin/python"$3"* include/python"$3"* lib/python"$3" lib/*.so* |
  tar -xf - --no-same-owner -C "$2"
mkdir -p "$2/lib/python$3/site-packages"
ln -sf "python$3" "$2/bin/python3"
ln -sf "python$3" "$2/bin/python"
`;

/** Turns an absolute library search path `<prefix>/lib` in the program headers into one relative to the file. It fits where it is not longer. */
async function relocateLibraries(prefix: string, target: string, minor: string): Promise<void> {
  const lib = join(target, "lib");
  const libraries = (await readdir(lib)).filter((name) => name.includes(".so")).map((name) => join(lib, name));
  const from = Buffer.from(`\0${prefix}/lib\0`);
  const to = Buffer.alloc(from.length);
  to.write("\0$ORIGIN/../lib", 0, "latin1");
  if (from.length < "\0$ORIGIN/../lib\0".length) return;
  for (const path of [join(target, "bin", `python${minor}`), ...libraries]) {
    const bytes = await readFile(path);
    const index = bytes.indexOf(from);
    if (index < 0) continue;
    to.copy(bytes, index);
    await rm(path);
    await writeFile(path, bytes, { mode: 0o755 });
  }
}

/** Compilers and flags that extensions are built with name the prefix. */
async function rewriteBuildSettings(prefix: string, at: string, library: string): Promise<void> {
  const names = await readdir(library);
  const settings = names.filter((name) => /^_sysconfigdata_.*\.py$/.test(name)).map((name) => join(library, name));
  const makefiles = names.filter((name) => /^config-/.test(name)).map((name) => join(library, name, "Makefile"));
  for (const path of [...settings, ...makefiles]) {
    const text = await readFile(path, "utf8").catch(() => undefined);
    if (text?.includes(prefix)) await writeFile(path, text.replaceAll(prefix, at));
  }
}
