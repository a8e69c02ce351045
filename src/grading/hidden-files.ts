import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
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
  const found = await stat(from).catch((cause: unknown) => {
    throw new SandlotError("task", `the task needs ${from}, which is not on this host`, { field: "grader", cause });
  });
  if (!found.isDirectory()) {
    return placeFile(sandbox, path, await readFile(from), signal, found.mode & 0o111 ? 0o755 : 0o644);
  }
  for (const name of (await readdir(from)).sort()) {
    await placeFrom(sandbox, { path: join(path, name), from: join(from, name) }, signal);
  }
}
