import { z } from "zod";
import { PARSERS } from "../verdict/parsers.ts";
import { RULES } from "../verdict/rules.ts";
import { RULE_NAMES } from "../verdict/verdict.ts";
import { END_TEST_OUTPUT, START_TEST_OUTPUT } from "./eval-script.ts";
import { CAPABILITIES } from "./needs.ts";

/** The one schema of all tasks. A reader per format turns foreign rows into it; nothing else knows a format. */

const Text = z.string().min(1);
export const CommitId = z.string().regex(/^[0-9a-f]{40}$/, "expected a full commit id, 40 hex digits");
export const TaskId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, "expected 1 to 128 letters, digits, dots, dashes and underscores");
/** A commit by its id, or by a branch or tag, or as what is checked out, which is looked up when the environment is prepared. */
export const BaseCommit = z
  .string()
  .regex(
    /^(?:[0-9a-f]{40}|HEAD|refs\/(?:heads|tags)\/[\w./+-]+(?:~\d{1,3})?)$/,
    "expected a full commit id, 40 hex digits, or refs/heads/NAME, refs/tags/NAME or HEAD",
  );
/** A name of the parser table. */
export const ParserName = z.string().refine((name) => PARSERS.has(name), "expected the name of a known log parser");
const MARKED = `expected the lines ": '${START_TEST_OUTPUT}'" and ": '${END_TEST_OUTPUT}'" around the tests, under \`set -x\``;
const isMarked = (script: string): boolean => script.includes(START_TEST_OUTPUT) && script.includes(END_TEST_OUTPUT);
/** Without both lines in its log no run of it can be judged. */
export const TestScript = z.string().refine(isMarked, MARKED);
const AbsolutePath = z.string().regex(/^\/[^\0]+$/, "expected an absolute path");
/** In the repository. */
const InnerPath = z.string().regex(/^(?!\/)(?!(?:.*\/)?\.\.(?:\/|$))[^\0]+$/, "expected a path in the repository");
/** A program looked up on PATH. */
export const Program = z.string().regex(/^[\w.+-]+$/, "expected the name of a program, without a path");

/** Where the repository's history comes from. Paths are absolute once a reader has resolved them. */
export const Repository = z.discriminatedUnion("type", [
  /** A `git fast-export` stream: reviewable text that gives the same commit ids everywhere. */
  z.strictObject({ type: z.literal("fast-export"), path: Text }),
  /** A clone, bare or not, on this host. */
  z.strictObject({ type: z.literal("path"), path: Text }),
  /** `owner/name`, looked up as `<owner>__<name>[.git]` in the configured folders of clones. */
  z.strictObject({ type: z.literal("name"), name: z.string().regex(/^[\w.-]+\/[\w.-]+$/) }),
  /** It lies in the image, at the workdir. */
  z.strictObject({ type: z.literal("image") }),
]);

/** How the tree around the repository is made. */
export const Setup = z.discriminatedUnion("type", [
  /** Commands run in order by `bash -c` in the workdir; a non-zero exit fails the preparation. */
  z.strictObject({
    type: z.literal("commands"),
    commands: z.array(Text).default([]),
    network: z.boolean().default(false),
  }),
  /** The official recipe for a repository and version, read at run time from the constants of the `swebench` package. */
  z.strictObject({ type: z.literal("swebench"), repo: Text, version: Text }),
]);

export const EnvironmentRecipe = z.strictObject({
  rootfs: z
    .discriminatedUnion("type", [
      z.strictObject({ type: z.literal("host") }),
      z.strictObject({ type: z.literal("directory"), path: Text }),
      /** A container image by its name, with what the family says of it. */
      z.strictObject({
        type: z.literal("image"),
        ref: z.string(),
        /** A folder that it is built from. */ context: z.string().default(""),
      }),
    ])
    .default({ type: "host" }),
  repository: Repository,
  baseCommit: BaseCommit,
  workdir: z
    .string()
    .regex(/^(?:\/[\w./-]+)?$/, "expected an absolute path, or nothing for that of the image")
    .default("/testbed"),
  /** Programs that must be found on PATH inside, e.g. `python3`, `node`, `cc`. */
  requires: z.array(Program).default([]),
  setup: Setup.default({ type: "commands", commands: [], network: false }),
  env: z.record(z.string().regex(/^[A-Za-z_]\w*$/), z.string()).default({}),
  history: z.enum(["past", "none"]).default("past"),
});

/** Something hidden that the tests need: a text, or a file or folder of this host. */
export const HiddenFile = z.union([
  z.strictObject({ path: AbsolutePath, text: z.string() }),
  z.strictObject({ path: AbsolutePath, from: Text }),
]);

const StageResults = z.strictObject({
  passed: z.array(z.string()),
  failed: z.array(z.string()),
  skipped: z.array(z.string()),
});

const GraderFields = z.strictObject({
  rule: z.enum(RULE_NAMES),
  apply: z.enum([
    "swebench@5.0.2",
    "swebench@4.1.0",
    "swebench@2.1",
    "swe-rebench-v2",
    "swe-bench-live",
    "swe-bench-pro",
    "multi-swe-bench",
    "plain",
  ]),
  parser: Text,
  evalType: z.enum(["pass_and_fail", "fail_only"]).default("pass_and_fail"),
  /** The row's id and version, by which some parsers go. */
  instance: z.strictObject({ id: z.string(), version: z.string() }).optional(),
  script: z.string(),
  failToPass: z.array(Text).default([]),
  passToPass: z.array(Text).default([]),
  /** For a rule that wants exactly these tests, each with its status. */
  expected: z.array(z.tuple([z.string(), z.string()])).default([]),
  /** For a rule that compares with what the tests gave before. */
  stages: z.strictObject({ run: StageResults, test: StageResults }).optional(),
  /** In the fresh sandbox from the start. */
  files: z.array(HiddenFile).default([]),
  /** Run there before the submission is applied. */
  before: z.string().default(""),
  /** Whether new files that git ignores are part of a submission. */
  ignored: z.boolean().default(false),
  /** Put back after it was applied. */
  restore: z
    .strictObject({ tracked: z.array(InnerPath).default([]), added: z.array(InnerPath).default([]) })
    .prefault({}),
  /** Files that the script writes, and that are judged in place of its log. */
  results: z.array(AbsolutePath).default([]),
  /** A program that reads the log, or the results, in a sandbox of its own. */
  reading: z.strictObject({ files: z.array(HiddenFile), argv: z.array(Text).min(1) }).optional(),
  /** Where the tests run, when that is not where the agent worked. */
  environment: EnvironmentRecipe.optional(),
  timeoutMs: z.int().min(1000).default(1_800_000),
  /** Set where the row comes from a family with an official rule. */
  official: z.boolean().default(false),
});

export const Grader = GraderFields.refine(({ rule, parser }) => RULES[rule].parsers.has(parser), {
  error: ({ input }) => `expected the name of a parser that the rule has${meant(input)}`,
  path: ["parser"],
})
  .refine(({ rule, script }) => !RULES[rule].markers || isMarked(script), { error: MARKED, path: ["script"] })
  .refine(({ rule, failToPass }) => RULES[rule].expects !== "tests" || failToPass.length > 0, {
    error: "expected a length of at least 1",
    path: ["failToPass"],
  })
  .refine(({ rule, expected }) => RULES[rule].expects !== "map" || expected.length > 0, {
    error: "expected a length of at least 1",
    path: ["expected"],
  });

/** The official harness calls its parsers `parse_log_<name>`. */
function meant(grader: unknown): string {
  const { rule, parser } = grader as z.infer<typeof GraderFields>; // refined after it was checked
  const official = `parse_log_${parser}`;
  return RULES[rule].parsers.has(official) ? `, perhaps ${official}` : "";
}

/** What a backend must be able to do for a task to be played there, and why the task needs it. */
export const Need = z.strictObject({ capability: z.enum(CAPABILITIES), reason: Text });

/** Empty: nobody has said. */
export const DIFFICULTIES = ["", "easy", "medium", "hard"] as const;

export const Task = z.strictObject({
  id: TaskId,
  source: z.strictObject({ dataset: Text, revision: z.string().default(""), split: z.string().default("") }),
  /** `owner/name` of the project, for display and filters. */
  repo: z.string().default(""),
  language: z.string().default(""),
  difficulty: z.enum(DIFFICULTIES).default(""),
  instruction: Text,
  /** `issue`: to be resolved in the repository. `task`: to be done as it says. */
  kind: z.enum(["issue", "task"]).default("issue"),
  environment: EnvironmentRecipe,
  /** A task is refused at play where something of this is missing. */
  needs: z.array(Need).default([]),
  agent: z
    .strictObject({
      tools: z.array(Text).default(["bash", "str_replace_editor", "submit_solution"]),
      /** A command whose outcome `Step` may report after each turn. Its tests are visible ones. */
      visibleTestCommand: z.string().default(""),
      feedback: z.enum(["none", "reminder", "visible_tests"]).default("none"),
    })
    .prefault({}),
  grader: Grader,
  /** Never leaves the server. */
  oracle: z
    .strictObject({
      patch: z.string().default(""),
      /** The hidden tests as a patch, for checks that none of it shows. */
      testPatch: z.string().default(""),
      /** Tempting patches by name, each of which must be graded 0. */
      wrongPatches: z.record(z.string(), Text).default({}),
    })
    .prefault({}),
});

export type EnvironmentRecipe = z.infer<typeof EnvironmentRecipe> & {
  /** Which backend plays it, by its name in the configuration, which alone says so: never a row. Absent: the default one. */
  readonly backend?: string;
};
type Rest<T, Name extends keyof T> = Omit<T, Name>;
type GraderOf<T extends { readonly environment?: unknown }> = Rest<T, "environment"> & {
  readonly environment?: EnvironmentRecipe | undefined;
};
export type Task = Rest<z.infer<typeof Task>, "environment" | "grader"> & {
  readonly environment: EnvironmentRecipe;
  readonly grader: GraderOf<z.infer<typeof Grader>>;
};

/** A task as a backend of a name plays it. */
export function playedOn(task: Task, backend: string): Task {
  const { environment } = task.grader;
  const grader = environment === undefined ? task.grader : { ...task.grader, environment: { ...environment, backend } };
  return { ...task, environment: { ...task.environment, backend }, grader };
}
export type HiddenFile = z.infer<typeof HiddenFile>;
