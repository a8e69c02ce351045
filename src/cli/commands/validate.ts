import { availableParallelism } from "node:os";
import type { Client } from "../../server/client.ts";
import { plain } from "../../server/plain.ts";
import { parseTaskFilter } from "../../tasks/filter.ts";
import type { Task } from "../../tasks/task.ts";
import { type Command, parse, UsageError, whole } from "../arguments.ts";
import { readCatalog } from "../catalog.ts";
import { clearProgress, printable, printJson, progress } from "../print.ts";
import { SESSION_HELP, SESSION_OPTIONS, type SessionFlags, withClient } from "../session.ts";
import { readSettings } from "../settings.ts";

/** Covers the preparation of an environment and the tests twice. */
const TIMEOUT_MS = 6 * 60 * 60_000;
/** A submission that changes nothing that counts: unlike the empty patch it has the tests run. */
const UNTOUCHED = `diff --git a/sandlot-untouched.txt b/sandlot-untouched.txt
new file mode 100644
--- /dev/null
+++ b/sandlot-untouched.txt
@@ -0,0 +1 @@
+nothing else was touched
`;
const NAMES_SHOWN = 3;

export const validate: Command = {
  help: `Usage: sandlot validate [OPTIONS]

Plays what is known of tasks: the gold patch must get 1; the empty patch, one that leaves the code untouched, and every
patch that the task calls wrong must get 0. A task that comes out otherwise is not fit for training.

  --task ID          a task; may be repeated (else all that --filter leaves)
  --filter TEXT      conditions as for \`sandlot tasks\`
  --times N          each patch so often (default 1): three show a task whose tests do not always come out alike
  --json             one JSON document: a list with one object for each patch that was played
${SESSION_HELP}

The tasks are those of --tasks where there are any, else all of the settings.
Exit status 0 when all came out as they must, 1 on a difference.`,
  async run(args) {
    const flags = parse(args, {
      ...SESSION_OPTIONS,
      task: { type: "string", multiple: true, default: [] },
      filter: { type: "string", default: "" },
      times: { type: "string" },
      json: { type: "boolean", default: false },
    });
    const times = whole(flags.times, "--times", 1) ?? 1;
    const tasks = await chosen(flags);
    return withClient(flags, async (client, signal) => {
      const findings: Finding[] = [];
      await inParallel(availableParallelism(), tasks, async (task) => {
        const found = await play({ client, task, times, signal });
        findings.push(...found);
        if (!flags.json) show(task, found, times);
      });
      if (flags.json) printJson(inOrder(findings, tasks));
      return findings.every(({ ok }) => ok) ? 0 : 1;
    });
  },
};

interface Trial {
  readonly name: string;
  readonly patch: string;
  readonly expected: 0 | 1;
}

interface Finding {
  readonly task_id: string;
  readonly patch: string;
  readonly expected: 0 | 1;
  /** Absent when there was none. */
  readonly reward?: number;
  readonly ok: boolean;
  /** For people. */
  readonly reason: string;
  /** The whole grade; absent when there was nothing to play, or the server gave none. */
  readonly grade?: object;
}

async function chosen(flags: SessionFlags & { readonly task: readonly string[]; readonly filter: string }) {
  const settings = readSettings(flags);
  const { config } = settings;
  const bundled = config.tasks.bundled && (flags.tasks === undefined || flags.task.length > 0);
  const catalog = await readCatalog({ ...settings, config: { ...config, tasks: { ...config.tasks, bundled } } });
  const filter = parseTaskFilter(flags.filter);
  if (filter.playable !== undefined) throw new UsageError("--filter: playable is not known before a task is played");
  const tasks = flags.task.length > 0 ? flags.task.map((id) => catalog.get(id)) : catalog.list(filter);
  if (tasks.length === 0) throw new UsageError("expected a task: --tasks, --task and --filter leave none");
  return tasks;
}

function trialsOf({ oracle }: Task): readonly Trial[] {
  return [
    { name: "gold", patch: oracle.patch, expected: 1 },
    { name: "empty", patch: "", expected: 0 },
    { name: "untouched", patch: UNTOUCHED, expected: 0 },
    ...Object.entries(oracle.wrongPatches).map(([name, patch]) => ({
      name: `wrong ${name}`,
      patch,
      expected: 0 as const,
    })),
  ];
}

interface Playing {
  readonly client: Client;
  readonly task: Task;
  readonly times: number;
  readonly signal: AbortSignal;
}

async function play(playing: Playing): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (let round = 0; round < playing.times; round++) {
    for (const trial of trialsOf(playing.task)) {
      progress(`${playing.task.id}: ${trial.name}`);
      findings.push(await judge(playing, trial));
    }
  }
  return findings;
}

async function judge({ client, task, signal }: Playing, { name, patch, expected }: Trial): Promise<Finding> {
  const about = { task_id: task.id, patch: name, expected };
  if (expected === 1 && patch === "") return { ...about, ok: false, reason: "the task has no oracle.patch" };
  try {
    const subject = { case: "submission", value: { taskId: task.id, patch: Buffer.from(patch) } } as const;
    const grade = await client.grade({ subject }, { timeoutMs: TIMEOUT_MS, signal });
    const { patch: _patch, ...rest } = plain(grade);
    const { reward } = grade;
    const missed = Object.values(grade.tests).flatMap(({ failedNames }) => failedNames);
    const reason = `${String(rest["outcome"])}: ${grade.reason}${listed(missed)}`;
    return { ...about, ...(reward !== undefined && { reward }), ok: reward === expected, reason, grade: rest };
  } catch (error) {
    signal.throwIfAborted();
    return { ...about, ok: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

function listed(names: readonly string[]): string {
  if (names.length === 0) return "";
  const more = names.length > NAMES_SHOWN ? ` and ${names.length - NAMES_SHOWN} more` : "";
  return ` (${names.slice(0, NAMES_SHOWN).join(", ")}${more})`;
}

/** A line for the task, and one for each difference. */
function show({ id }: Task, findings: readonly Finding[], times: number): void {
  const different = findings.filter(({ ok }) => !ok);
  const rewards = findings.map(({ patch, reward }) => `${patch} ${reward ?? "none"}`);
  const each = times === 1 ? rewards : [...new Set(rewards)];
  const lines = [
    `${different.length === 0 ? "ok " : "BAD"}  ${id}: ${each.join(", ")}`,
    ...different.map(
      ({ patch, expected, reward, reason }) =>
        `       ${patch}: expected ${expected}, got ${reward ?? "no reward"}: ${reason.replace(/\s+/g, " ")}`,
    ),
  ];
  clearProgress();
  process.stdout.write(printable(`${lines.join("\n")}\n`));
}

function inOrder(findings: readonly Finding[], tasks: readonly Task[]): readonly Finding[] {
  return tasks.flatMap(({ id }) => findings.filter((finding) => finding.task_id === id));
}

async function inParallel<T>(width: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const item of left) await work(item);
    }),
  );
}
