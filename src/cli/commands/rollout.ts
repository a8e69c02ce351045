import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import type { Client } from "../../server/client.ts";
import { plain } from "../../server/plain.ts";
import { type Command, parse, required } from "../arguments.ts";
import { gradeLines } from "../grade-lines.ts";
import { readInput } from "../input.ts";
import { printable, printJson } from "../print.ts";
import { SESSION_HELP, SESSION_OPTIONS, withClient } from "../session.ts";

/** Longer than any command and any grading. */
const TIMEOUT_MS = 12 * 60 * 60_000;
const HEARTBEAT_MS = 60_000;

export const rollout: Command = {
  help: `Usage: sandlot rollout --task ID [--commands FILE] [OPTIONS]

  --task ID          the task
  --commands FILE    one command of bash a line, then it is submitted; lines that begin with # are left out. Without it lines
                     are read from standard input: \`submit\` hands in and shows the grade, the end of input gives up
  --quiet            without the prompt
  --json             nothing but, at the end, the grade as one JSON document
${SESSION_HELP}

Exit status 0 when there is a reward, whichever; 1 when there is none.`,
  async run(args) {
    const flags = parse(args, {
      ...SESSION_OPTIONS,
      task: { type: "string" },
      commands: { type: "string" },
      quiet: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    });
    const taskId = required(flags.task, "--task ID");
    const input = inputOf(flags.commands);
    const say = (text: string): void => void (flags.json || process.stdout.write(printable(text)));
    return withClient(flags, async (client, signal) => {
      const attemptId = `cli-${randomBytes(8).toString("hex")}`;
      const what = { case: "taskId", value: taskId } as const;
      const created = await client.create(
        { attemptId, what, labels: { by: "sandlot rollout" } },
        { timeoutMs: TIMEOUT_MS, signal },
      );
      const beating = setInterval(
        () => void client.heartbeat({ trajectoryIds: [created.id] }).catch(() => undefined),
        HEARTBEAT_MS,
      );
      try {
        say(`${created.id}\n`);
        if (!flags.quiet) for (const { role, content } of created.messages) say(`\n[${role}]\n${content}\n\n`);
        return await play({ client, trajectoryId: created.id, signal, say, input }, flags);
      } finally {
        clearInterval(beating);
        await client.release({ trajectoryIds: [created.id] });
      }
    });
  },
};

interface Playing {
  readonly client: Client;
  readonly trajectoryId: string;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
  readonly input: Readable;
}

/** Read before anything is begun: a file that is not there begins nothing. */
function inputOf(file: string | undefined): Readable {
  return file === undefined || file === "-" ? process.stdin : Readable.from([readInput("--commands", file)]);
}

async function play(
  playing: Playing,
  { commands, json }: { commands?: string | undefined; json: boolean },
): Promise<number> {
  let number = 0;
  const call = (tool: string, argumentsJson: string) => {
    number += 1;
    const request = { trajectoryId: playing.trajectoryId, callId: `${number}`, tool, argumentsJson };
    return playing.client.execute(request, { timeoutMs: TIMEOUT_MS, signal: playing.signal });
  };
  let submitting = commands !== undefined;
  for await (const line of linesOf(playing.input, commands === undefined, playing.signal)) {
    if (commands === undefined && line === "submit") {
      submitting = true;
      break;
    }
    if (commands !== undefined) playing.say(`$ ${line}\n`);
    const result = await call("bash", JSON.stringify({ command: line }));
    playing.say(`${result.text.trimEnd()}\n`);
    if (result.terminated || result.truncated) break;
  }
  if (!submitting) {
    playing.say("released without a grade\n");
    return 1;
  }
  const { grade } = await call("submit_solution", "{}");
  if (!grade) throw new Error("submit_solution came back without a grade");
  const { patch: _patch, ...shown } = plain(grade);
  if (json) printJson(shown);
  else playing.say(`\n${gradeLines(shown)}`);
  return grade.reward === undefined ? 1 : 0;
}

async function* linesOf(input: Readable, byHand: boolean, signal: AbortSignal): AsyncIterable<string> {
  const prompted = byHand && process.stdin.isTTY;
  const lines = createInterface({ input, signal, ...(prompted && { output: process.stderr, prompt: "sandlot> " }) });
  if (prompted) lines.prompt();
  for await (const line of lines) {
    const trimmed = line.trim();
    if (trimmed !== "" && !trimmed.startsWith("#")) yield trimmed;
    if (prompted) lines.prompt();
  }
}
