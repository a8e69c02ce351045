import { createHash } from "node:crypto";
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { SandlotError } from "../errors.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { HiddenFile } from "./spec.ts";

/** Places files in a fresh sandbox, before anything of a submission is there: what fails is not its doing. Fault `task`: this host lacks one. */
export async function placeFiles(sandbox: Sandbox, files: readonly HiddenFile[], signal: AbortSignal): Promise<void> {
  for (const file of files) {
    if ("text" in file) await placeFile(sandbox, file.path, Buffer.from(file.text), signal);
    else await placeFrom(sandbox, file, signal);
  }
}

export async function placeFile(
  sandbox: Sandbox,
  path: string,
  data: Uint8Array,
  signal: AbortSignal,
  mode = 0o644,
): Promise<void> {
  const callId = `place-${createHash("sha256").update(path).digest("hex").slice(0, 40)}`;
  const { failure } = await sandbox.writeFile(path, data, { callId, mode, signal });
  if (failure === undefined) return;
  throw new SandlotError("sandbox", `${path} of a fresh sandbox could not be written: ${failure}`);
}

async function placeFrom(
  sandbox: Sandbox,
  { path, from }: { readonly path: string; readonly from: string },
  signal: AbortSignal,
): Promise<void> {
  const lacking = (cause: unknown): never => {
    throw new SandlotError("task", `the task needs ${from}, which is not on this host`, { field: "grader", cause });
  };
  const real = await realpath(from).catch(lacking);
  for await (const file of filesIn(real)) {
    const { mode } = await stat(file);
    const target = join(path, relative(real, file));
    await placeFile(sandbox, target, await readFile(file), signal, mode & 0o111 ? 0o755 : 0o644);
  }
}

/** The file itself, or every file below the folder, in order. Whoever made the folder chose its links: fault `task` for one that leads out of it, or to a folder. */
async function* filesIn(path: string, top = path): AsyncGenerator<string> {
  if (!(await stat(path)).isDirectory()) {
    yield path;
    return;
  }
  const entries = await readdir(path, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const inner = join(path, entry.name);
    if (entry.isDirectory()) yield* filesIn(inner, top);
    else if (entry.isFile() || (await leadsToFileIn(inner, top))) yield inner;
    else throw new SandlotError("task", `expected files and folders, got ${inner}`, { field: "grader" });
  }
}

async function leadsToFileIn(link: string, top: string): Promise<boolean> {
  const target = await realpath(link).catch(() => "");
  return target.startsWith(`${top}/`) && (await stat(target)).isFile();
}
