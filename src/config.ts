import { type Document, isMap, isNode, isPair, isScalar, LineCounter, parseDocument, visit } from "yaml";
import { z } from "zod";
import { SandlotError } from "./errors.ts";
import { inspect, type Problem } from "./problem.ts";

/** Every setting of a server. `config/sandlot.yaml` says what each is for; a key that is not here stops the start. */

const Count = z.int().min(1);
const Ms = z.int().min(1);
const Auto = z.literal("auto");

/** One table for defaults and for the most: the floor holds for both. */
const limits = (defaults: Limits) =>
  z
    .strictObject({
      max_steps: z.int().min(LEAST_LIMITS.max_steps).default(defaults.max_steps),
      max_turns: z.int().min(LEAST_LIMITS.max_turns).default(defaults.max_turns),
      wall_ms: z.int().min(LEAST_LIMITS.wall_ms).default(defaults.wall_ms),
      command_ms: z.int().min(LEAST_LIMITS.command_ms).default(defaults.command_ms),
      no_output_ms: z.int().min(LEAST_LIMITS.no_output_ms).default(defaults.no_output_ms),
      output_bytes: z.int().min(LEAST_LIMITS.output_bytes).default(defaults.output_bytes),
      memory_mib: z.int().min(LEAST_LIMITS.memory_mib).default(defaults.memory_mib),
      cpu_milli: z.int().min(LEAST_LIMITS.cpu_milli).default(defaults.cpu_milli),
      pids: z.int().min(LEAST_LIMITS.pids).default(defaults.pids),
      disk_mib: z.int().min(LEAST_LIMITS.disk_mib).default(defaults.disk_mib),
      grade_ms: z.int().min(LEAST_LIMITS.grade_ms).default(defaults.grade_ms),
    })
    .prefault({});

const LIMIT_NAMES = [
  ...(["max_steps", "max_turns", "wall_ms", "command_ms", "no_output_ms", "output_bytes"] as const),
  ...(["memory_mib", "cpu_milli", "pids", "disk_mib", "grade_ms"] as const),
];
type LimitName = (typeof LIMIT_NAMES)[number];
export type Limits = Readonly<Record<LimitName, number>>;

const MINUTE = 60_000;
const MIB = 1_048_576;

/** The floor of each: in less memory, or with fewer processes, the runner and a shell with a pipe cannot live; with less CPU they cannot be waited for. */
export const LEAST_LIMITS: Limits = {
  max_steps: 1,
  max_turns: 1,
  wall_ms: 1,
  command_ms: 1,
  no_output_ms: 0,
  output_bytes: 1,
  memory_mib: 16,
  cpu_milli: 50,
  pids: 16,
  disk_mib: 1,
  grade_ms: 1,
};

const DEFAULTS: Limits = {
  max_steps: 100,
  max_turns: 100,
  wall_ms: 60 * MINUTE,
  command_ms: 2 * MINUTE,
  no_output_ms: 0,
  output_bytes: 16 * 1024,
  memory_mib: 2_048,
  cpu_milli: 1_000,
  pids: 512,
  disk_mib: 4_096,
  grade_ms: 30 * MINUTE,
};

const MOST: Limits = {
  max_steps: 1_000_000,
  max_turns: 1_000_000,
  wall_ms: 24 * 60 * MINUTE,
  command_ms: 6 * 60 * MINUTE,
  no_output_ms: 6 * 60 * MINUTE,
  output_bytes: 1024 * 1024,
  memory_mib: 65_536,
  cpu_milli: 64_000,
  pids: 32_768,
  disk_mib: 262_144,
  grade_ms: 6 * 60 * MINUTE,
};

const Backend = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("oci"),
    runtime: z.enum(["auto", "crun", "runc"]).default("auto"),
    disk: z.enum(["auto", "loop", "watched"]).default("auto"),
    /** Folders of images by their names. */
    images: z.array(z.string().min(1)).default([]),
  }),
  z.strictObject({
    type: z.literal("docker"),
    /** Empty: DOCKER_HOST, or the usual place. */
    socket: z.string().default(""),
    /** One that the engine knows; empty: its default. */
    runtime: z.string().default(""),
    /** Stands for this host's system folders; empty: these. */
    host_image: z.string().default(""),
    pull: z.enum(["missing", "never", "always"]).default("missing"),
  }),
  z.strictObject({
    type: z.literal("e2b"),
    /** A file with nothing but the key; empty: E2B_API_KEY. */
    api_key_file: z.string().default(""),
    /** Empty, as the two that follow: what E2B_DOMAIN, E2B_API_URL and E2B_SANDBOX_URL say, else E2B's own. */
    domain: z.string().default(""),
    api_url: z.string().default(""),
    sandbox_url: z.string().default(""),
    api_version: z.enum(["v1", "v2"]).default("v1"),
    max_sandboxes: z.int().min(4).default(20),
    creates_per_s: z.number().positive().default(1),
    templates: z.enum(["build", "tool", "named"]).default("build"),
    tool: z.string().default(""),
    registry_type: z.string().default("personal"),
    /** Images that no registry needs to have, by name: templates are built from a Dockerfile. */
    recipes: z
      .record(
        z.string(),
        z.strictObject({ dockerfile: z.string().min(1), args: z.record(z.string(), z.string()).default({}) }),
      )
      .default({}),
    template_cpu: Count.default(2),
    template_memory_mib: z.int().min(512).multipleOf(2).default(4_096),
    host_image: z.string().default(""),
    /** No less than three renewals need. */
    life_s: z.int().min(60).default(1_800),
    usd_per_cpu_s: z.number().min(0).default(0.000_014),
    usd_per_gib_s: z.number().min(0).default(0.000_004_5),
  }),
  z.strictObject({
    type: z.literal("process"),
    commands_run_unprotected_on_this_host: z.literal(true),
  }),
]);

/** A folder of the state folder is called so. */
const BackendName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, "expected 1 to 32 small letters, digits and dashes");

const PoolName = z.string().regex(/^[\w.-]{1,64}$/, "expected 1 to 64 letters, digits, dots, dashes and underscores");

const Pool = z.strictObject({
  slots: z.union([Count, Auto]).default("auto"),
  queue: z.int().min(0).default(4_096),
  priority: z.int().min(0).max(100).default(50),
});

/** Sources as `--tasks` takes them, read as one; `instances` alone names its data set itself. */
const TaskSet = z
  .strictObject({
    from: z.array(z.string().min(1)).default([]),
    instances: z.string().default(""),
    offset: z.int().min(0).default(0),
    /** 0 = no limit. */
    limit: z.int().min(0).default(0),
    /** A name of `docs/tasks.md`. Empty: told by the columns. */
    family: z.string().default(""),
    /** A copy of the family's public code. Empty: none. */
    harness: z.string().default(""),
    /** The release of the harness that rows of SWE-bench are graded as. */
    rule: z.enum(["swebench@5.0.2", "swebench@4.1.0"]).default("swebench@5.0.2"),
    /** A name of `backends`. Empty: `backend`. */
    backend: z.string().default(""),
  })
  .refine(({ from, instances }) => from.length > 0 || instances !== "", "expected from, instances or both");

/** Paths of files in PEM; empty = none. */
const Tls = z.strictObject({
  cert_file: z.string().default(""),
  key_file: z.string().default(""),
  client_ca_file: z.string().default(""),
  tokens_travel_in_clear_text: z.boolean().default(false),
});

export const Config = z.strictObject({
  listen: z.string().default("127.0.0.1:50051"),
  tls: Tls.prefault({}),
  /** Empty = `$XDG_STATE_HOME/sandlot`. */
  state_dir: z.string().default(""),
  tasks: z
    .strictObject({
      bundled: z.boolean().default(true),
      files: z.array(z.string().min(1)).default([]),
      sets: z.array(TaskSet).default([]),
      /** Empty = `config/dataset.lock` of this install. */
      lock: z.string().default(""),
    })
    .prefault({}),
  repositories: z.array(z.string().min(1)).default([]),
  interpreters: z.array(z.string().min(1)).default([]),
  backend: Backend.prefault({ type: "oci" }),
  backends: z.record(BackendName, Backend).default({}),
  pools: z.record(PoolName, Pool).prefault({ default: {} }),
  sandboxes: z
    .strictObject({
      total: Count.default(1_000),
      expected_mib: Count.default(64),
      reserve_mib: z.int().min(0).default(512),
    })
    .prefault({}),
  grading: z
    .strictObject({
      slots: z.union([Count, Auto]).default("auto"),
      kind: z.enum(["tests", "structural"]).default("tests"),
      max_diff: z
        .strictObject({
          bytes: z.int().min(0).default(0),
          files: z.int().min(0).default(0),
          hunks: z.int().min(0).default(0),
        })
        .prefault({}),
    })
    .prefault({}),
  warm: z.strictObject({ per_environment: z.int().min(0).default(2), total: z.int().min(0).default(16) }).prefault({}),
  lease_ms: Ms.default(15 * MINUTE),
  sandbox_service: z.strictObject({ enabled: z.boolean().default(false) }).prefault({}),
  limits: z.strictObject({ defaults: limits(DEFAULTS), most: limits(MOST) }).prefault({}),
  output: z
    .strictObject({
      // A line of a record, in which a byte can take six, has to fit into one message.
      kept_bytes: z
        .int()
        .min(4_096)
        .max(8 * MIB)
        .default(MIB),
      spill_bytes: z
        .int()
        .min(0)
        .max(1024 * MIB)
        .default(64 * MIB),
    })
    .prefault({}),
  records: z.strictObject({ days: z.number().min(0).default(7) }).prefault({}),
  environments: z
    .strictObject({ max_gib: z.number().min(0).default(20), command_ms: Ms.default(30 * MINUTE) })
    .prefault({}),
  log: z.strictObject({ level: z.enum(["error", "warn", "info", "debug"]).default("info") }).prefault({}),
});

export type BackendConfig = z.infer<typeof Backend>;
export type Config = z.infer<typeof Config>;
export type TaskSetConfig = z.infer<typeof TaskSet>;

/** Reads a configuration. Fault `invalid` with every problem as `NAME:LINE:COLUMN: path: expected ..., got ...`, so that an editor can jump to it. */
export function parseConfig(text: string, name: string): Config {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${line}:${col}`;
  };
  if (document.errors.length > 0)
    throw wrong(
      document.errors.map(({ code, pos, message }) => {
        const again = code === "DUPLICATE_KEY" ? pathAt(document, pos[0]) : "";
        if (again !== "") return `${at(pos[0])}: ${again}: expected it once, got it again`;
        return `${at(pos[0])}: expected YAML, got an error: ${message}`;
      }),
    );
  const checked = inspect(Config, document.toJS() ?? {});
  const problems = checked.ok ? crossed(checked.value) : checked.problems;
  if (checked.ok && problems.length === 0) return checked.value;
  throw wrong(
    problems.map(({ path, says }) => `${at(offsetOf(document, path))}: ${path.join(".") || "(top)"}: ${says}`),
  );
}

function crossed(config: Config): Problem[] {
  return [...crossedLimits(config), ...crossedTls(config), ...unknownBackends(config), ...sameEngines(config)];
}

/** A set is played on a backend that there is. */
function unknownBackends({ tasks, backends }: Config): Problem[] {
  const names = Object.keys(backends);
  const expected =
    names.length === 0 ? "expected nothing, for there are no backends" : `expected ${names.join(" or ")}`;
  return tasks.sets.flatMap(({ backend }, index) =>
    backend === "" || names.includes(backend)
      ? []
      : [{ path: ["tasks", "sets", String(index), "backend"], says: `${expected}, got ${JSON.stringify(backend)}` }],
  );
}

/** Two names for one engine and runtime would tell nothing apart. */
function sameEngines({ backend, backends }: Config): Problem[] {
  const all = [["backend", backend] as const, ...Object.entries(backends)];
  return all.flatMap(([name, one], index) => {
    if (one.type !== "docker") return [];
    const twin = all.slice(0, index).find(([, other]) => other.type === "docker" && isSameEngine(one, other));
    if (twin === undefined) return [];
    const of = twin[0] === "backend" ? twin[0] : `backends.${twin[0]}`;
    const says = `expected another engine than that of ${of}, or another runtime on it, got ${JSON.stringify(one.socket)}`;
    return [{ path: ["backends", name, "socket"], says }];
  });
}

type DockerConfig = Extract<BackendConfig, { type: "docker" }>;

function isSameEngine(one: DockerConfig, other: DockerConfig): boolean {
  const place = ({ socket }: DockerConfig): string => socket.replace(/^unix:\/\//, "").replace(/\/+/g, "/");
  return place(one) === place(other) && one.runtime === other.runtime;
}

/** Defaults above what may be asked for would make every Create `invalid` that asks for nothing. */
function crossedLimits({ limits: { defaults, most } }: Config): Problem[] {
  return LIMIT_NAMES.filter((name) => defaults[name] > most[name]).map((name) => ({
    path: ["limits", "defaults", name],
    says: `expected at most limits.most.${name}, which is ${most[name]}, got ${defaults[name]}`,
  }));
}

function crossedTls({ tls }: Config): Problem[] {
  const given = (["cert_file", "key_file", "client_ca_file"] as const).find((name) => tls[name] !== "");
  return (["cert_file", "key_file"] as const)
    .filter((name) => given !== undefined && tls[name] === "")
    .map((name) => ({ path: ["tls", name], says: `expected a file, since tls.${given} is set, got nothing` }));
}

const wrong = (problems: readonly string[]): SandlotError =>
  new SandlotError("invalid", problems.join("\n"), { field: "config" });

/** Of the key that stands there, also where another is the same. Empty: there is none. */
function pathAt(document: Document.Parsed, offset: number): string {
  let found = "";
  visit(document, {
    Pair(_, pair, ancestors) {
      if (startOf(pair.key) !== offset) return undefined;
      const keys = [...ancestors, pair].flatMap((node) => (isPair(node) ? [String(node.key)] : []));
      found = keys.join(".");
      return visit.BREAK;
    },
  });
  return found;
}

/** Where the key stands; that of a missing one is where what should hold it begins. */
function offsetOf(document: Document.Parsed, path: readonly string[]): number {
  for (let depth = path.length; depth > 0; depth--) {
    const offset = keyOffset(document, path.slice(0, depth)) ?? startOf(document.getIn(path.slice(0, depth), true));
    if (offset !== undefined) return offset;
  }
  return startOf(document.contents) ?? 0;
}

/** Undefined where `path` does not end in a key, but for instance in a list. */
function keyOffset(document: Document.Parsed, path: readonly string[]): number | undefined {
  const holder: unknown = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (!isMap(holder)) return undefined;
  const pair = holder.items.find(({ key }) => isScalar(key) && String(key.value) === path.at(-1));
  return startOf(pair?.key);
}

const startOf = (node: unknown): number | undefined => (isNode(node) ? node.range?.[0] : undefined);
