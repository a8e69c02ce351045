import type { Client } from "../../server/client.ts";
import { plain } from "../../server/plain.ts";
import { matches, parseTaskFilter } from "../../tasks/filter.ts";
import type { Task } from "../../tasks/task.ts";
import { type Command, parse, UsageError } from "../arguments.ts";
import { readCatalog } from "../catalog.ts";
import { printJson, table } from "../print.ts";
import { connectTo, REMOTE_HELP, REMOTE_OPTIONS } from "../remote.ts";
import { readSettings, STACK_HELP, STACK_OPTIONS } from "../settings.ts";

const COLUMNS = ["id", "language", "difficulty", "repo", "dataset"];

export const tasks: Command = {
  help: `Usage: sandlot tasks [OPTIONS]

  --filter TEXT      conditions key=value, separated by blanks; keys: id (a trailing * matches any rest), repo, language,
                     difficulty, dataset, and with --server playable
  --json             one JSON document: a list
  --server HOST:PORT the tasks of a running server, with what this host lacks for them (else those of the settings)
${REMOTE_HELP}
${STACK_HELP}`,
  async run(args) {
    const options = { ...STACK_OPTIONS, ...REMOTE_OPTIONS, filter: { type: "string", default: "" } } as const;
    const flags = parse(args, { ...options, json: { type: "boolean", default: false } });
    const rows =
      flags.server === undefined
        ? await ofSettings(flags)
        : await ofServer(connectTo(flags.server, flags), flags.filter);
    if (flags.json) printJson(rows);
    else process.stdout.write(table(rows, flags.server === undefined ? COLUMNS : [...COLUMNS, "unplayable_reason"]));
    return 0;
  },
};

type Row = Readonly<Record<string, unknown>>;

async function ofServer(client: Client, filter: string): Promise<readonly Row[]> {
  const rows: Row[] = [];
  try {
    for (let pageToken = ""; ; ) {
      const page = await client.listTasks({ filter, pageToken });
      for (const task of page.tasks) rows.push(brief(plain(task)));
      if (page.nextPageToken === "") return rows;
      pageToken = page.nextPageToken;
    }
  } finally {
    client.close();
  }
}

/** Lists carry no prompt and no tools. */
function brief({ messages: _messages, tools: _tools, ...rest }: Row): Row {
  return rest;
}

async function ofSettings(
  flags: Parameters<typeof readSettings>[0] & { readonly filter: string },
): Promise<readonly Row[]> {
  const filter = parseTaskFilter(flags.filter);
  if (filter.playable !== undefined) throw new UsageError("--filter: playable needs --server, which knows the host");
  const catalog = await readCatalog(readSettings(flags));
  return catalog
    .list()
    .filter((task) => matches(task, filter))
    .map(row);
}

function row({ id, source, repo, language, difficulty, instruction, environment }: Task): Row {
  const { baseCommit: base_commit, workdir } = environment;
  return { id, dataset: source.dataset, repo, base_commit, language, difficulty, instruction, workdir };
}
