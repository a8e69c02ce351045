import type { Instance, TestStatus } from "../verdict.ts";

/** Reads one kind of test output. A Map keeps the order of first appearance and any key, as a Python dict does. */
export type Parser = (log: string, instance: Instance) => Map<string, TestStatus>;

/** For a log of which nobody knows the instance. */
export const NO_INSTANCE: Instance = { id: "", version: "" };

/** The log made the official parser raise: upstream that is an error of the instance, not an unresolved one. */
export class UnparsableLog extends Error {
  override readonly name = "UnparsableLog";
}

export const STATUSES = ["FAILED", "PASSED", "SKIPPED", "ERROR", "XFAIL"] as const;

export function startsWithStatus(line: string): boolean {
  return startsWithAny(line, STATUSES);
}

export function endsWithStatus(line: string): boolean {
  return endsWithAny(line, STATUSES);
}

export function startsWithAny(line: string, words: readonly string[]): boolean {
  return words.some((word) => line.startsWith(word));
}

export function endsWithAny(line: string, words: readonly string[]): boolean {
  return words.some((word) => line.endsWith(word));
}

/** What the official parser does with an instance that it does not know. */
export function chosenBy({ id }: Instance, parser: Parser | undefined): Parser {
  if (parser !== undefined) return parser;
  throw new UnparsableLog(`an instance that it does not know: ${JSON.stringify(id)}`);
}
