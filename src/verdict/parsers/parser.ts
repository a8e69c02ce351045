import type { TestStatus } from "../verdict.ts";

/** Reads one kind of test output. A Map keeps the order of first appearance and any key, as a Python dict does. */
export type Parser = (log: string) => Map<string, TestStatus>;

/** The log made the official parser raise: upstream that is an error of the instance, not an unresolved one. */
export class UnparsableLog extends Error {
  override readonly name = "UnparsableLog";
}

const STATUSES = ["FAILED", "PASSED", "SKIPPED", "ERROR", "XFAIL"] as const;

export function startsWithStatus(line: string): boolean {
  return STATUSES.some((status) => line.startsWith(status));
}

export function endsWithStatus(line: string): boolean {
  return STATUSES.some((status) => line.endsWith(status));
}
