#!/usr/bin/env node
import { SandlotError } from "../errors.ts";
import { type Command, UsageError } from "./arguments.ts";
import { printable } from "./print.ts";
import { VERSION } from "./version.ts";

/** Loaded when asked for: `--help` need not wait for a server's modules. */
const COMMANDS = new Map<string, { readonly summary: string; readonly load: () => Promise<Command> }>([
  [
    "serve",
    {
      summary: "serves rollouts until it is told to stop",
      load: async () => (await import("./commands/serve.ts")).serve,
    },
  ],
  ["tasks", { summary: "lists tasks", load: async () => (await import("./commands/tasks.ts")).tasks }],
  [
    "dataset",
    {
      summary: "writes tasks as a trainer's data set; locks data sets of the hub to what they are now",
      load: async () => (await import("./commands/dataset.ts")).dataset,
    },
  ],
  [
    "prepare",
    {
      summary: "makes the environments of tasks ahead of time",
      load: async () => (await import("./commands/prepare.ts")).prepare,
    },
  ],
  [
    "rollout",
    {
      summary: "plays one trajectory by hand, or by a file of commands",
      load: async () => (await import("./commands/rollout.ts")).rollout,
    },
  ],
  ["grade", { summary: "judges a patch on a task", load: async () => (await import("./commands/grade.ts")).grade }],
  [
    "validate",
    {
      summary: "plays the gold patch, none and wrong ones on tasks, and compares the rewards with what they must be",
      load: async () => (await import("./commands/validate.ts")).validate,
    },
  ],
  [
    "seed",
    {
      summary: "clones, installs and tests a small repository",
      load: async () => (await import("./commands/seed.ts")).seed,
    },
  ],
  [
    "verdict",
    {
      summary: "says what an official harness makes of a log",
      load: async () => (await import("./commands/verdict.ts")).verdict,
    },
  ],
  [
    "doctor",
    {
      summary: "tries out what this host can do, and says what to install or set",
      load: async () => (await import("./commands/doctor.ts")).doctor,
    },
  ],
]);

/** Exit status: 0 ok, 1 failed, 2 the command line cannot be understood. */
async function main([name = "--help", ...args]: readonly string[]): Promise<number> {
  if (name === "--version") return print(VERSION);
  if (name === "--help" || name === "-h" || name === "help") return print(overview());
  const known = COMMANDS.get(name);
  if (!known) throw new UsageError(`there is no command ${JSON.stringify(name)}\n\n${overview()}`);
  const command = await known.load();
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
  process.stderr.write(`sandlot: ${printable(text)}\n`);
  return error instanceof UsageError ? 2 : 1;
}

// A certificate for an address instead of a name makes Node warn; whoever types a command cannot help it.
process.noDeprecation = true;
// A reader that has gone, as in `sandlot doctor | head`, is no reason to stop midway and leave something behind.
process.stdout.on("error", () => undefined);
process.exitCode = await main(process.argv.slice(2)).catch(report);
