import { isAbsolute, resolve } from "node:path";
import { z } from "zod";
import type { RowOrigin } from "../reader.ts";
import { type EnvironmentRecipe, Program, type Task } from "../task.ts";

/** What the columns of several families have in common. */

const NOT_TESTS = "expected a list of test names, or JSON of one";

/** Names of tests: a list, or JSON of one. */
export const Tests = z
  .union([z.array(z.string()), z.string().transform(jsonOf(NOT_TESTS))], { error: NOT_TESTS })
  .pipe(z.array(z.string().min(1), { error: NOT_TESTS }));

export const SomeTests = Tests.pipe(z.array(z.string()).min(1));

/** A value that some copies of a data set hold as JSON. */
export function orJson<T extends z.ZodType>(schema: T) {
  const error = "expected an object, or JSON of one";
  return z.preprocess((value, context) => (typeof value === "string" ? jsonOf(error)(value, context) : value), schema);
}

function jsonOf(message: string) {
  return (text: string, context: z.RefinementCtx): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    }
  };
}

/** Ours, on a row of any family: how it is played without its image. */
export const LOCAL_COLUMNS = {
  /** A clone or a `git fast-export` stream (ending in `.fast-export`), relative to the file. */
  repository: z.string().min(1).nullish(),
  /** Commands that make the environment. */
  setup: z.array(z.string().min(1)).nullish(),
  /** Programs that must be on PATH inside. */
  requires: z.array(Program).nullish(),
};

export interface LocalColumns {
  readonly repository?: string | null | undefined;
  readonly setup?: readonly string[] | null | undefined;
  readonly requires?: readonly string[] | null | undefined;
}

export interface Place {
  /** `owner/name`, looked up among the clones when the row has no path. */
  readonly repo: string;
  readonly baseCommit: string;
  readonly workdir: string;
  readonly history: EnvironmentRecipe["history"];
  readonly image: string;
  /** Commands that make the environment out of the image. */
  readonly imageSetup?: readonly string[];
  /** Paths in the image that the agent must not see; the verifier has them. */
  readonly hide?: readonly string[];
}

type TaskInput = z.input<typeof Task>;

interface Where {
  readonly environment: TaskInput["environment"];
  /** The verifier's environment, where it is not the agent's. */
  readonly verifier?: TaskInput["environment"];
  readonly needs?: TaskInput["needs"];
}

/** A row with one of our columns is played on this host's system folders; any other needs the family's image. */
export function placeOf(row: LocalColumns, place: Place, origin: RowOrigin): Where {
  const { baseCommit, workdir, history, image, imageSetup = [], hide = [] } = place;
  const common = { baseCommit, workdir, history };
  if (row.repository || row.setup) {
    const repository = localRepository(row.repository ?? undefined, place.repo, origin);
    const commands = [...(row.setup ?? [])];
    const requires = [...(row.requires ?? [])];
    return { environment: { ...common, repository, requires, setup: { type: "commands", commands } } };
  }
  const imaged = { ...common, rootfs: { type: "image", ref: image }, repository: { type: "image" } } as const;
  const after = (commands: readonly string[]): TaskInput["environment"] => ({
    ...imaged,
    setup: { type: "commands", commands: [...commands] },
  });
  const needs = [{ capability: "images" as const, reason: `its environment is the image ${image}` }];
  if (hide.length === 0) return { environment: after(imageSetup), needs };
  const environment = after([...imageSetup, `rm -rf -- ${hide.map(quote).join(" ")}`]);
  return { environment, verifier: after(imageSetup), needs };
}

export function localRepository(
  path: string | undefined,
  repo: string,
  { folder }: Pick<RowOrigin, "folder">,
): EnvironmentRecipe["repository"] {
  const local = path ?? (isPath(repo) ? repo : undefined);
  if (local === undefined) return { type: "name", name: repo };
  return { type: local.endsWith(".fast-export") ? "fast-export" : "path", path: resolve(folder, local) };
}

export function isPath(repo: string): boolean {
  return isAbsolute(repo) || /^\.{1,2}\//.test(repo);
}

/** A word for a shell. */
export function quote(word: string): string {
  return /^[\w./:=@+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

export const DIFFICULTY: ReadonlyMap<string, Task["difficulty"]> = new Map([
  ["easy", "easy"],
  ["medium", "medium"],
  ["hard", "hard"],
  ["<15 min fix", "easy"],
  ["15 min - 1 hour", "medium"],
  ["1-4 hours", "hard"],
  [">4 hours", "hard"],
]);

export function sourceOf({ dataset, revision, split }: RowOrigin): z.input<typeof Task>["source"] {
  return { dataset, revision, split };
}
