import { randomBytes } from "node:crypto";
import { constants, renameSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import type { Identity } from "./identity.ts";
import type { SandboxSpec } from "./sandbox.ts";

/** `sandbox.json` in a sandbox's folder: all that a later server needs to take hold of it, or to remove it. */
export interface SandboxRecord {
  readonly version: 1;
  readonly spec: SandboxSpec;
  /** Every layer below the sandbox's own, lowest first. */
  readonly lower: readonly string[];
  /** Whether the sandbox's own layer is a plain folder or lies in an image of a file system. */
  readonly disk: "folder" | "image";
  /** Its first process; absent until it was started. */
  readonly identity?: Identity;
}

/** By rename: a reader finds the old or the new one. At once: it is small, and a wait for each step would cost more than the steps. */
export function writeRecord(path: string, record: SandboxRecord): void {
  const half = `${path}.${randomBytes(4).toString("hex")}`;
  writeFileSync(half, JSON.stringify(record), { mode: 0o600 });
  renameSync(half, path);
}

/** Undefined when there is none, or a torn one: then it was never ready. */
export async function readRecord(path: string): Promise<SandboxRecord | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    const value: unknown = JSON.parse(await file.readFile("utf8").finally(() => file.close()));
    const known = typeof value === "object" && value !== null && "version" in value && value.version === 1;
    return known ? (value as SandboxRecord) : undefined; // written by writeRecord only, in a folder of our own
  } catch {
    return undefined;
  }
}
