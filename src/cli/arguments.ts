import { type ParseArgsConfig, parseArgs } from "node:util";

/** One sub-command. */
export interface Command {
  /** What `--help` prints. */
  readonly help: string;
  /** Resolves to the exit status: 0 ok, 1 failed. */
  run(args: readonly string[]): Promise<number>;
}

/** The command line cannot be understood: exit status 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** `parseArgs` of Node, strict, with its complaints as UsageError. */
export function parse<const Options extends NonNullable<ParseArgsConfig["options"]>>(
  args: readonly string[],
  options: Options,
) {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

export function required(value: string | undefined, option: string): string {
  if (value !== undefined && value !== "") return value;
  throw new UsageError(`expected ${option}`);
}

/** A whole number of at least `least`. */
export function whole(value: string | undefined, option: string, least = 0): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= least) return number;
  throw new UsageError(`${option}: expected a whole number of at least ${least}, got ${JSON.stringify(value)}`);
}
