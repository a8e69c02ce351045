import { randomBytes } from "node:crypto";
import { constants, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname } from "node:path";
import type { SandboxSpec } from "../sandbox.ts";

/** `sandbox.json` in a sandbox's folder: what a later server needs to take hold of the container of the same name. */
export interface DockerRecord {
  readonly version: 1;
  readonly spec: SandboxSpec;
  /** Of the runner's byte stream, in hex. */
  readonly secret: string;
}

/** By rename: a reader finds the old or the new one. */
export function writeRecord(path: string, record: DockerRecord): void {
  mkdirSync(dirname(path), { mode: 0o700 });
  const half = `${path}.${randomBytes(4).toString("hex")}`;
  writeFileSync(half, JSON.stringify(record), { mode: 0o600 });
  renameSync(half, path);
}

/** Undefined when there is none, or a torn one. */
export async function readRecord(path: string): Promise<DockerRecord | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    const value: unknown = JSON.parse(await file.readFile("utf8").finally(() => file.close()));
    const known = typeof value === "object" && value !== null && "version" in value && value.version === 1;
    return known ? (value as DockerRecord) : undefined; // written by writeRecord only, in a folder of our own
  } catch {
    return undefined;
  }
}
