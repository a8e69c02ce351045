import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { type BuildOptions, buildDataset } from "../../dataset/build.ts";
import { DATASET_FORMATS } from "../../dataset/formats.ts";
import { openTokenizer } from "../../dataset/tokens.ts";
import { readBundledTasks } from "../../tasks/bundled.ts";
import { DIFFICULTIES, type Task } from "../../tasks/task.ts";
import { type Command, parse, UsageError, whole } from "../arguments.ts";
import { eachTaskOf } from "../catalog.ts";
import { readInput } from "../input.ts";
import { printJson } from "../print.ts";
import { readSettings, type Settings, STACK_HELP, STACK_OPTIONS, wholeOf } from "../settings.ts";

const DEFAULT_SET = "hf:MariusHobbhahn/swe-bench-verified-mini:test";
const SAMPLE = { train: 10, val: 2 } as const;

export const datasetBuild: Command = {
  help: `build writes tasks as a trainer's data set: train and val. Rows name their task; what grades it stays on the server.

  --out DIR            where to (default ~/data/swebench_mini)
  --format FORMAT      ${Object.keys(DATASET_FORMATS).join(", ")} (default verl: Parquet; the others are JSON lines)
  --val SHARE          of the tasks for val, 0 to 1 (default 0.1); drawn for each task by its id and the seed
  --seed N             (default 0)
  --sample             at most ${SAMPLE.train} rows of train and ${SAMPLE.val} of val
  --repo OWNER/NAME    only of this repository; may be repeated
  --difficulty WORD    only of this difficulty (${DIFFICULTIES.filter(Boolean).join(", ")}); may be repeated
  --ids FILE           only tasks whose ids stand in FILE, one a line, such as those that sandlot tasks check found playable
  --max-prompt-tokens N --tokenizer DIR
                       only prompts of at most N tokens by the tokenizer.json in DIR, chat template not counted
  --failing-tests      name the tests that must pass, and the goal, in the prompt
  --gold               put the gold patch on each row: it then travels through the whole trainer
  --bundled            of the tasks that come with Sandlot
  --json               one JSON document

Without --tasks, --instances, --bundled and sets in the configuration: ${DEFAULT_SET.slice("hf:".length)}.

${STACK_HELP}`,
  async run(args) {
    const flags = parse(args, {
      ...STACK_OPTIONS,
      out: { type: "string" },
      format: { type: "string", default: "verl" },
      val: { type: "string", default: "0.1" },
      seed: { type: "string", default: "0" },
      sample: { type: "boolean", default: false },
      repo: { type: "string", multiple: true, default: [] },
      difficulty: { type: "string", multiple: true, default: [] },
      ids: { type: "string" },
      "max-prompt-tokens": { type: "string" },
      tokenizer: { type: "string" },
      "failing-tests": { type: "boolean", default: false },
      gold: { type: "boolean", default: false },
      bundled: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    });
    const options: BuildOptions = {
      folder: resolve(flags.out ?? join(homedir(), "data/swebench_mini")),
      format: formatOf(flags.format),
      selection: {
        repos: new Set(flags.repo),
        difficulties: new Set(flags.difficulty.map(difficultyOf)),
        ids: flags.ids === undefined ? undefined : idsOf(flags.ids),
        val: shareOf(flags.val),
        seed: whole(flags.seed, "--seed") ?? 0,
      },
      most: flags.sample ? SAMPLE : { train: Number.POSITIVE_INFINITY, val: Number.POSITIVE_INFINITY },
      failingTests: flags["failing-tests"],
      gold: flags.gold,
      ...(await promptOf(flags["max-prompt-tokens"], flags.tokenizer)),
    };
    const built = await buildDataset(tasksOf(readSettings(flags), flags.bundled), options);
    if (flags.json) printJson(built);
    else {
      for (const { path, rows } of built.files) process.stdout.write(`${path}: ${rows} rows\n`);
      if (built.tooLong > 0) process.stdout.write(`${built.tooLong} tasks have prompts that are too long\n`);
    }
    return 0;
  },
};

async function* tasksOf(settings: Settings, bundled: boolean): AsyncGenerator<Task> {
  if (bundled) yield* await readBundledTasks();
  const { taskSets } = settings;
  yield* eachTaskOf(taskSets.length > 0 || bundled ? taskSets : [wholeOf([DEFAULT_SET])], settings);
}

function formatOf(name: string): BuildOptions["format"] {
  const found = Object.keys(DATASET_FORMATS).find((format): format is BuildOptions["format"] => format === name);
  if (found) return found;
  throw new UsageError(
    `--format: expected one of ${Object.keys(DATASET_FORMATS).join(", ")}, got ${JSON.stringify(name)}`,
  );
}

function difficultyOf(word: string): string {
  const words = DIFFICULTIES.filter(Boolean);
  if (words.some((each) => each === word)) return word;
  throw new UsageError(`--difficulty: expected one of ${words.join(", ")}, got ${JSON.stringify(word)}`);
}

function shareOf(text: string): number {
  const share = Number(text);
  if (text.trim() !== "" && share >= 0 && share <= 1) return share;
  throw new UsageError(`--val: expected a share of 0 to 1, got ${JSON.stringify(text)}`);
}

function idsOf(file: string): ReadonlySet<string> {
  const lines = readInput("--ids", file).toString().split("\n");
  return new Set(lines.map((line) => line.trim()).filter(Boolean));
}

async function promptOf(
  maxTokens: string | undefined,
  tokenizer: string | undefined,
): Promise<Pick<BuildOptions, "prompt">> {
  const most = whole(maxTokens, "--max-prompt-tokens", 1);
  if (most === undefined && tokenizer === undefined) return {};
  if (most === undefined || tokenizer === undefined)
    throw new UsageError("expected --max-prompt-tokens N together with --tokenizer DIR");
  return { prompt: { maxTokens: most, count: await openTokenizer(tokenizer) } };
}
