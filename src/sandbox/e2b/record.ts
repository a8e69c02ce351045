import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Enforced, SandboxSpec } from "../sandbox.ts";
import type { Lent } from "./account.ts";

/** `sandbox.json` in a sandbox's folder: written before a machine is asked for, and again with each thing that a later server needs. */
export interface E2bRecord {
  readonly version: 1;
  readonly type: "e2b";
  readonly spec: SandboxSpec;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly lent?: Lent;
  readonly runner?: {
    readonly pid: number;
    /** Base64; known to nobody else. */
    readonly secret: string;
    readonly enforced: Enforced;
  };
}

export type StartedRecord = E2bRecord & Required<Pick<E2bRecord, "lent" | "runner">>;

/** By rename: a reader finds the old or the new one. */
export function writeRecord(path: string, record: E2bRecord): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Undefined when there is none, a torn one, or that of another backend. */
export function readRecord(path: string): E2bRecord | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    const ours = typeof value === "object" && value !== null && "type" in value && value.type === "e2b";
    return ours ? (value as E2bRecord) : undefined; // written by writeRecord only, in a folder of our own
  } catch {
    return undefined;
  }
}

export function isStarted(record: E2bRecord | undefined): record is StartedRecord {
  return record?.lent !== undefined && record.runner !== undefined;
}

/** Where what is kept of a sandbox lies. */
export function folderOf(stateDir: string, id: string): string {
  return join(stateDir, "sandboxes", id);
}

export function recordOf(stateDir: string, id: string): string {
  return join(folderOf(stateDir, id), "sandbox.json");
}
