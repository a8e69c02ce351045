import { plain } from "../../server/plain.ts";
import { type Command, parse, UsageError } from "../arguments.ts";
import { clearProgress, printable, printJson, progress } from "../print.ts";
import { SESSION_HELP, SESSION_OPTIONS, withClient } from "../session.ts";

/** No preparation takes longer. */
const TIMEOUT_MS = 24 * 60 * 60_000;

export const prepare: Command = {
  help: `Usage: sandlot prepare (--task ID... | --all) [OPTIONS]

  --task ID          a task; may be repeated
  --all              every task that this host can play
  --json             the outcome of each task as one JSON document
${SESSION_HELP}`,
  async run(args) {
    const flags = parse(args, {
      ...SESSION_OPTIONS,
      task: { type: "string", multiple: true, default: [] },
      all: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    });
    if (flags.all === flags.task.length > 0) throw new UsageError("expected either --task ID or --all");
    return withClient(flags, async (client, signal) => {
      const taskIds = flags.all ? await playable(client) : flags.task;
      const outcomes: ReturnType<typeof plain>[] = [];
      for await (const event of client.prepare({ taskIds }, { timeoutMs: TIMEOUT_MS, signal })) {
        const over = event.done || event.stage === "failed";
        if (over) outcomes.push(plain(event));
        if (flags.json) continue;
        if (over)
          show(
            `${event.taskId}: ${event.done ? `ready in ${event.prepareMs} ms` : `failed (${event.fault}): ${event.message}`}`,
          );
        else progress(`${event.taskId}: ${event.stage} ${event.message}`);
      }
      if (flags.json) printJson(outcomes);
      return outcomes.every((outcome) => outcome["done"] === true) && outcomes.length === taskIds.length ? 0 : 1;
    });
  },
};

function show(line: string): void {
  clearProgress();
  process.stdout.write(`${printable(line)}\n`);
}

async function playable(client: Parameters<Parameters<typeof withClient>[1]>[0]): Promise<string[]> {
  const ids: string[] = [];
  for (let pageToken = ""; ; ) {
    const page = await client.listTasks({ filter: "playable=true", pageToken });
    ids.push(...page.tasks.map((task) => task.id));
    if (page.nextPageToken === "") return ids;
    pageToken = page.nextPageToken;
  }
}
