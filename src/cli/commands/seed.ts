import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { findRepository } from "../../environments/repository.ts";
import { isFault, SandlotError } from "../../errors.ts";
import type { SeedResult } from "../../seeds/result.ts";
import { runSeed, type SeedRun } from "../../seeds/run.ts";
import { readSeeds, type Seed } from "../../seeds/seed.ts";
import { prepareWorkbench } from "../../seeds/workbench.ts";
import { fileSource } from "../../tasks/sources/file.ts";
import { type Command, parse, required, UsageError } from "../arguments.ts";
import { withYard } from "../compose.ts";
import { readInput } from "../input.ts";
import { clearProgress, printable, printJson, progress, table } from "../print.ts";
import { untilInterrupted } from "../session.ts";
import { readSettings, type Settings } from "../settings.ts";

const SEEDS = join(import.meta.dirname, "../../../config/seed_tasks.jsonl");

export const seed: Command = {
  help: `Usage: sandlot seed run --task-id ID [--patch FILE] [OPTIONS]
       sandlot seed list [OPTIONS]

run clones a small public repository (from SANDLOT_REPOSITORIES/<owner>__<name>[.git], else from github.com), installs it and runs its
tests, and with a patch once more: clone 5 s, install 20 s, tests 5 s, all together 30 s. The sandbox in which it is installed has
network, those of the tests have none. No reward comes of it.

  --task-id ID       the seed
  --patch FILE       a unified diff; - = standard input
  --seeds FILE       JSON lines of { task_id, repo, ref, pytest_k } (else config/seed_tasks.jsonl)
  --json             the result as one JSON document
  --config FILE      settings (else SANDLOT_CONFIG; see config/sandlot.yaml)
  --state DIR        state folder (else SANDLOT_STATE, the configuration, or $XDG_STATE_HOME/sandlot)

Exit status 0 when the tests passed (with a patch: with it), 1 otherwise.`,
  async run([action = "", ...args]) {
    const flags = parse(args, {
      config: { type: "string" },
      state: { type: "string" },
      "task-id": { type: "string" },
      patch: { type: "string" },
      seeds: { type: "string", default: SEEDS },
      json: { type: "boolean", default: false },
    });
    const seeds = await readSeeds(fileSource(flags.seeds));
    if (action === "list") return list([...seeds.values()], flags.json);
    if (action !== "run") throw new UsageError(`expected run or list, got ${JSON.stringify(action)}`);
    const wanted = chosen(seeds, required(flags["task-id"], "--task-id ID"), flags.seeds);
    const patch = flags.patch === undefined ? undefined : readPatch(flags.patch);
    const result = await untilInterrupted((signal) => play(wanted, readSettings(flags), signal, patch));
    if (flags.json) printJson(result);
    else process.stdout.write(printable(lines(result)));
    return result.status === "passed" ? 0 : 1;
  },
};

function chosen(seeds: ReadonlyMap<string, Seed>, id: string, file: string): Seed {
  const found = seeds.get(id);
  if (found !== undefined) return found;
  const message = `--task-id: expected one of ${[...seeds.keys()].join(", ")} (${file}), got ${JSON.stringify(id)}`;
  throw new SandlotError("not_found", message, { field: "task-id" });
}

function readPatch(file: string): Uint8Array {
  return file === "-" ? readInput("standard input", "/dev/stdin") : readInput("--patch", file);
}

async function play(wanted: Seed, settings: Settings, signal: AbortSignal, patch?: Uint8Array): Promise<SeedResult> {
  return withYard(settings, async ({ backend, environments, newId, limits }) => {
    if (!backend.capabilities.isolation) {
      const message = "seeds run the code of strangers: they need a backend that isolates";
      throw new SandlotError("unsupported", message, { knob: "backend.type" });
    }
    const onProgress = ({ stage, message }: { stage: string; message: string }) => progress(`${stage} ${message}`);
    const workbench = await prepareWorkbench(environments, { signal, onProgress }).finally(clearProgress);
    const packages = await environments.packageAccess(signal);
    const origin = await originOf(wanted, settings);
    const scratch = join(settings.stateDir, "seeds", randomBytes(8).toString("hex"));
    const maxDiff = settings.config.grading.max_diff;
    const run: SeedRun = { backend, newId, limits, workbench, packages, origin, scratch, maxDiff, signal };
    return runSeed(wanted, patch === undefined ? run : { ...run, patch });
  });
}

async function originOf({ repo }: Seed, { repositories }: Settings): Promise<SeedRun["origin"]> {
  try {
    const { path } = await findRepository({ type: "name", name: repo }, repositories);
    return { path };
  } catch (error) {
    if (isFault(error, "task")) return { url: `https://github.com/${repo}.git` };
    throw error;
  }
}

function list(seeds: readonly Seed[], json: boolean): number {
  if (json) printJson(seeds);
  else
    process.stdout.write(
      table(
        seeds.map((one) => ({ ...one })),
        ["task_id", "repo", "ref", "pytest_k"],
      ),
    );
  return 0;
}

function lines({ task_id, status, duration_s, tail, before }: SeedResult): string {
  const one = (what: string, how: Pick<SeedResult, "status" | "duration_s" | "tail">) =>
    `${what}: ${how.status} after ${how.duration_s} s\n${how.tail.replace(/^/gm, "  ")}\n`;
  return (
    (before === undefined ? "" : one(`${task_id} before the patch`, before)) +
    one(task_id, { status, duration_s, tail })
  );
}
