import { join, posix } from "node:path";
import { z } from "zod";
import { check } from "../../problem.ts";
import { REWARD_JSON, REWARD_TEXT } from "../../verdict/families/harbor.ts";
import type { RowOrigin, RowReader } from "../reader.ts";
import { CommitId, Program, Task, TaskId } from "../task.ts";
import { localRepository, quote, sourceOf } from "./columns.ts";

/**
 * Task folders of Harbor, Terminal-Bench 2 among them (schema 1.3, and the older `version`). The verifier runs in a sandbox of its own, whatever the task says: it gets the files below the workdir as the
 * agent left them, and nothing else of the agent's.
 */
export const harbor: RowReader = {
  family: "harbor",
  claims: (row) =>
    "folder" in row && "files" in row && ("environment" in row || "verifier" in row || "metadata" in row),
  read(row, origin) {
    const read = check(Row, row);
    return read.ok ? check(Task, taskFields(read.value, origin)) : read;
  },
};

const Network = z.enum(["no-network", "public", "allowlist"]);
const Variables = z.record(z.string().regex(/^[A-Za-z_]\w*$/), z.string()).default({});
const User = z.union([z.string(), z.int()]).nullish();

const Environment = z.object({
  docker_image: z.string().min(1).nullish(),
  os: z.string().default("linux"),
  gpus: z.number().nullish(),
  tpu: z.unknown().optional(),
  env: Variables,
  workdir: z
    .string()
    .regex(/^\/[\w./-]+$/, "expected an absolute path")
    .nullish(),
  network_mode: Network.nullish(),
  allow_internet: z.boolean().nullish(),
  mcp_servers: z.array(z.unknown()).default([]),
  healthcheck: z.unknown().optional(),
});

/** Ours, in `[metadata.sandlot]`: how the task is played without its image. */
const Local = z.strictObject({
  /** A clone or a `git fast-export` stream, relative to the task's folder: what the workdir holds. */
  repository: z.string().min(1),
  base_commit: CommitId,
  setup: z.array(z.string().min(1)).default([]),
  requires: z.array(Program).default([]),
  /** The task needs no network, although it does not say so. */
  network: z.literal("none").optional(),
});

const Row = z.object({
  id: TaskId,
  folder: z.string().min(1),
  files: z.array(z.string()),
  instruction: z.string({ error: "expected a file instruction.md beside it" }).min(1),
  metadata: z.object({ sandlot: Local.optional(), difficulty: z.string().optional() }).prefault({}),
  verifier: z
    .object({
      timeout_sec: z.number().positive().default(600),
      env: Variables,
      user: User,
      network_mode: Network.nullish(),
      environment_mode: z.enum(["shared", "separate"]).nullish(),
      environment: Environment.nullish(),
      collect: z.array(z.unknown()).default([]),
    })
    .prefault({}),
  agent: z.object({ user: User, network_mode: Network.nullish() }).prefault({}),
  environment: Environment.prefault({}),
  artifacts: z
    .array(z.union([z.string(), z.object({ source: z.string(), service: z.string().nullish() })]))
    .default([]),
  steps: z.array(z.unknown()).default([]),
});
type Row = z.infer<typeof Row>;
type Needs = NonNullable<z.input<typeof Task>["needs"]>;

/** Where the tasks of the public sets work, when neither the task nor an image says it. */
const WORKDIR = "/app";
const DIFFICULTIES = ["easy", "medium", "hard"] as const;

function taskFields(row: Row, origin: RowOrigin): z.input<typeof Task> {
  const workdir = row.environment.workdir ?? WORKDIR;
  const difficulty = DIFFICULTIES.find((one) => one === row.metadata.difficulty) ?? "";
  const own = row.verifier.environment;
  return {
    id: row.id,
    source: sourceOf(origin),
    kind: "task",
    difficulty,
    instruction: row.instruction,
    environment: environmentOf(row, workdir),
    needs: needsOf(row, workdir),
    grader: {
      rule: "harbor@1.3",
      apply: "plain",
      parser: "reward",
      script: script(row),
      ignored: true,
      ...(own && { environment: verifierOf(own, row, workdir) }),
      files: [{ path: "/tests", from: join(row.folder, "tests") }],
      results: [REWARD_JSON, REWARD_TEXT],
      timeoutMs: Math.max(1000, Math.round(row.verifier.timeout_sec * 1000)),
      official: true,
    },
  };
}

function environmentOf(row: Row, workdir: string): z.input<typeof Task>["environment"] {
  const { sandlot } = row.metadata;
  const env = resolved(row.environment.env);
  if (sandlot === undefined) {
    return { ...imageOf(row.environment.docker_image, join(row.folder, "environment"), row.id, workdir), env };
  }
  const { repository, base_commit, setup, requires } = sandlot;
  return {
    repository: localRepository(repository, "", { folder: row.folder }),
    baseCommit: base_commit,
    workdir,
    requires,
    setup: { type: "commands", commands: setup },
    env,
    history: "past",
  };
}

function verifierOf(own: z.infer<typeof Environment>, { folder, id }: Row, workdir: string) {
  const image = imageOf(own.docker_image, join(folder, "tests"), id, own.workdir ?? workdir);
  return { ...image, env: resolved(own.env) };
}

function imageOf(name: string | null | undefined, context: string, id: string, workdir: string) {
  const from = name ? { ref: name } : { ref: `harbor/${id}`, context };
  return {
    rootfs: { type: "image", ...from },
    repository: { type: "image" },
    baseCommit: "HEAD",
    workdir,
    history: "none",
  } as const;
}

/** Templates of the host's variables are not followed; a default in one counts. */
function resolved(env: Readonly<Record<string, string>>): Record<string, string> {
  const value = (text: string): string => text.replace(/\$\{\w+:-([^}]*)\}/g, "$1");
  return Object.fromEntries(Object.entries(env).map(([name, text]) => [name, value(text)]));
}

function needsOf(row: Row, workdir: string): Needs {
  const { environment, verifier, agent, artifacts, steps, files } = row;
  const all = [environment, ...(verifier.environment ? [verifier.environment] : [])];
  const inside = (path: string): boolean => !posix.relative(workdir, path).startsWith("..");
  const outside = artifacts.map((one) => (typeof one === "string" ? one : one.source)).filter((path) => !inside(path));
  const when = (condition: boolean, capability: Needs[number]["capability"], reason: string): Needs =>
    condition ? [{ capability, reason }] : [];
  const ordinary = (user: z.infer<typeof User>): boolean =>
    user === null || user === undefined || user === "root" || user === 0;
  return [
    ...when(true, "isolation", "its tests lie at /tests, its reward at /logs"),
    ...when(
      row.metadata.sandlot === undefined,
      "images",
      `its environment is the image ${environment.docker_image ?? "that environment/Dockerfile makes"}`,
    ),
    ...when(Boolean(verifier.environment), "images", "its verifier has an image of its own"),
    ...when(steps.length > 0, "steps", `it has ${steps.length} steps`),
    ...when(
      !files.includes("tests/test.sh"),
      all.some(({ os }) => os.toLowerCase() === "windows") ? "windows" : "test-command",
      "it has no tests/test.sh",
    ),
    ...when(files.includes("environment/docker-compose.yaml"), "services", "it has a docker-compose.yaml"),
    ...when(
      all.some(({ mcp_servers, healthcheck }) => mcp_servers.length > 0 || healthcheck !== undefined),
      "services",
      "it waits for services",
    ),
    ...when(
      all.some(({ gpus, tpu }) => (gpus ?? 0) > 0 || tpu !== undefined),
      "gpus",
      "it asks for accelerators",
    ),
    ...when(!ordinary(agent.user) || !ordinary(verifier.user), "users", "its agent or its verifier is not root"),
    ...when(outside.length > 0, "artifacts", `its verifier gets ${outside.join(", ")}, which is not below ${workdir}`),
    ...when(verifier.collect.length > 0, "services", "it collects from services"),
    ...when(wantsNetwork(row), "network", "it does not say that it needs no network (network_mode)"),
    ...when(
      all.some(({ env }) => Object.values(resolved(env)).some(isTemplate)) ||
        Object.values(resolved(verifier.env)).some(isTemplate),
      "variables",
      "it takes variables of the host",
    ),
  ];
}

const isTemplate = (text: string): boolean => /\$\{\w+/.test(text);

/** Public unless it is said otherwise. */
function wantsNetwork({ environment, verifier, agent, metadata }: Row): boolean {
  if (metadata.sandlot?.network === "none") return false;
  const base = environment.network_mode ?? (environment.allow_internet === false ? "no-network" : "public");
  return [base, agent.network_mode, verifier.network_mode].some((mode) => (mode ?? "no-network") !== "no-network");
}

/** `Verifier.verify`: a reward that was there before is none. */
function script({ verifier }: Row): string {
  const exported = Object.entries(resolved(verifier.env)).map(([name, value]) => `export ${name}=${quote(value)}`);
  return `${[
    "#!/bin/bash",
    "rm -rf /logs/verifier",
    "mkdir -p /logs/verifier /logs/agent /logs/artifacts",
    "chmod +x /tests/test.sh",
    ...exported,
    "/tests/test.sh",
  ].join("\n")}\n`;
}
