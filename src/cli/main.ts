#!/usr/bin/env node
import { SandlotError } from "../errors.ts";
import { type Command, UsageError } from "./arguments.ts";
import { doctor } from "./commands/doctor.ts";
import { grade } from "./commands/grade.ts";
import { prepare } from "./commands/prepare.ts";
import { rollout } from "./commands/rollout.ts";
import { serve } from "./commands/serve.ts";
import { tasks } from "./commands/tasks.ts";
import { VERSION } from "./version.ts";

const COMMANDS = new Map<string, Command>(Object.entries({ serve, tasks, prepare, rollout, grade, doctor }));

/** Exit status: 0 ok, 1 failed, 2 the command line cannot be understood. */
async function main([name = "--help", ...args]: readonly string[]): Promise<number> {
  if (name === "--version") return print(VERSION);
  if (name === "--help" || name === "-h" || name === "help") return print(overview());
  const command = COMMANDS.get(name);
  if (!command) throw new UsageError(`there is no command ${JSON.stringify(name)}\n\n${overview()}`);
  if (args.includes("--help") || args.includes("-h")) return print(command.help);
  return command.run(args);
}

function overview(): string {
  const width = Math.max(...[...COMMANDS.keys()].map((name) => name.length));
  const lines = [...COMMANDS].map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return `Usage: sandlot COMMAND [OPTIONS]\n\n${lines.join("\n")}\n\n\`sandlot COMMAND --help\` says more. \`sandlot --version\` prints ${VERSION}.`;
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

function report(error: unknown): number {
  const known = error instanceof UsageError || error instanceof SandlotError;
  const text = known ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`sandlot: ${text}\n`);
  return error instanceof UsageError ? 2 : 1;
}

// A reader that has gone, as in `sandlot tasks | head`, is no failure of ours.
process.stdout.on("error", () => process.exit(0));
process.exitCode = await main(process.argv.slice(2)).catch(report);
