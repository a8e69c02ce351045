import { readFileSync } from "node:fs";
import { plain } from "../../server/plain.ts";
import { type Command, parse, required, whole } from "../arguments.ts";
import { gradeLines } from "../grade-lines.ts";
import { readInput } from "../input.ts";
import { clearProgress, printable, printJson, progress } from "../print.ts";
import { SESSION_HELP, SESSION_OPTIONS, withClient } from "../session.ts";

/** Covers the preparation of an environment and the tests twice. */
const TIMEOUT_MS = 6 * 60 * 60_000;

export const grade: Command = {
  help: `Usage: sandlot grade --task ID --patch FILE [OPTIONS]

  --task ID          the task
  --patch FILE       a unified diff against the task's base; - = standard input
  --grade-ms N       time limit of the tests (else the task's own)
  --json             the grade as one JSON document, without the patch
${SESSION_HELP}

Exit status 0 when there is a reward, whichever; 1 when there is none.`,
  async run(args) {
    const flags = parse(args, {
      ...SESSION_OPTIONS,
      task: { type: "string" },
      patch: { type: "string" },
      "grade-ms": { type: "string" },
      json: { type: "boolean", default: false },
    });
    const taskId = required(flags.task, "--task ID");
    const file = required(flags.patch, "--patch FILE");
    const patch = file === "-" ? readFileSync(0) : readInput("--patch", file);
    const gradeMs = whole(flags["grade-ms"], "--grade-ms") ?? 0;
    return withClient(flags, async (client, signal) => {
      progress(`${taskId}: preparing and running the tests`);
      const subject = { case: "submission", value: { taskId, patch, gradeMs } } as const;
      const judged = await client.grade({ subject }, { timeoutMs: TIMEOUT_MS, signal }).finally(clearProgress);
      const { patch: _patch, ...rest } = plain(judged);
      if (flags.json) printJson(rest);
      else process.stdout.write(printable(gradeLines(rest)));
      return judged.reward === undefined ? 1 : 0;
    });
  },
};
