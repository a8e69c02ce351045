import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type OpenBackendOptions, openBackend } from "../../src/sandbox/open.ts";
import type { CommonOptions } from "../../src/sandbox/options.ts";
import type { Backend, ExecOptions, ExecResult, Sandbox, SandboxSpec } from "../../src/sandbox/sandbox.ts";
import { requiredBackends } from "./required.ts";

export const RUNNER = join(import.meta.dirname, "../../runner/sandlot-runner");

/** One way to run the contract: a backend and what of it was chosen. */
export interface Variant {
  readonly name: string;
  readonly options: Own<OpenBackendOptions>;
}

/** Of each backend what is its own. */
type Own<Options> = Options extends CommonOptions ? Omit<Options, keyof CommonOptions | "images" | "env"> : never;

const VARIANTS: readonly Variant[] = [
  { name: "oci, crun, watched disk", options: { type: "oci", runtime: "crun", disk: "watched" } },
  { name: "oci, crun, loop disk", options: { type: "oci", runtime: "crun", disk: "loop" } },
  { name: "oci, runc, watched disk", options: { type: "oci", runtime: "runc", disk: "watched" } },
  { name: "process", options: { type: "process" } },
];

/**
 * The variants of the backends of this host itself that work here, each tried out. What does not is printed with its reason, and is an error when SANDLOT_REQUIRE_BACKENDS ("oci,process") names a
 * backend of which no variant works.
 */
export async function availableVariants(): Promise<readonly Variant[]> {
  const available: Variant[] = [];
  const reasons: string[] = [];
  for (const variant of VARIANTS) {
    await using place = newPlace(variant);
    const failure = await place.open().then(
      (backend) => backend.close(),
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    if (failure === undefined) available.push(variant);
    else reasons.push(`skipped: ${variant.name}: ${failure}`);
  }
  if (reasons.length > 0) process.stderr.write(`${reasons.join("\n")}\n`);
  for (const type of requiredBackends()) {
    const of = ({ options }: Variant): boolean => options.type === type;
    if (VARIANTS.some(of) && !available.some(of)) {
      throw new Error(`SANDLOT_REQUIRE_BACKENDS names ${type}, which does not work here:\n${reasons.join("\n")}`);
    }
  }
  return available;
}

/** A state folder of its own, an instance of its own, and a layer with `/work/file` and `/work/folder/other`. */
export interface Place extends AsyncDisposable {
  readonly options: OpenBackendOptions;
  readonly stateDir: string;
  readonly instance: string;
  readonly layer: string;
  open(): Promise<Backend>;
}

/** `env`: more of the environment of programs that bring images. */
export function newPlace(variant: Variant, env: Readonly<Record<string, string>> = {}): Place {
  const folder = mkdtempSync(join(tmpdir(), "sandlot-test-"));
  const stateDir = join(folder, "state");
  const layer = join(folder, "layer");
  mkdirSync(stateDir);
  mkdirSync(join(layer, "work/folder"), { recursive: true });
  writeFileSync(join(layer, "work/file"), "from the layer\n");
  writeFileSync(join(layer, "work/folder/other"), "also from the layer\n");
  const instance = randomBytes(4).toString("hex");
  const common = { stateDir, instance, runnerPath: RUNNER, hide: [] };
  const own = variant.options;
  const options: OpenBackendOptions =
    own.type === "oci" ? { ...common, ...own, images: [], env: { ...hostEnv(), ...env } } : { ...common, ...own };
  if (!existsSync(RUNNER)) throw new Error("runner/sandlot-runner is not built: run runner/build");
  return {
    ...{ options, stateDir, instance, layer },
    open: () => openBackend(options),
    [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

const hostEnv = () => ({ PATH: process.env["PATH"] ?? "" });

export function specIn(place: Pick<Place, "instance" | "layer">, changes: Partial<SandboxSpec> = {}): SandboxSpec {
  return {
    id: `sandlot-${place.instance}-${randomBytes(16).toString("hex")}`,
    rootfs: { type: "host" },
    layers: [place.layer],
    binds: [],
    views: [],
    workdir: "/work",
    env: { PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", HOME: "/root", LANG: "C.UTF-8" },
    limits: { memoryMiB: 256, cpuMilli: 2000, pids: 64, diskMiB: 256 },
    network: "none",
    ...changes,
  };
}

export interface Told extends ExecResult {
  readonly stdout: string;
  readonly stderr: string;
}

let calls = 0;

/** Runs a script by bash and gathers its streams. */
export async function bash(sandbox: Sandbox, script: string, options: Partial<ExecOptions> = {}): Promise<Told> {
  const callId = options.callId ?? `call-${calls++}`;
  const result = await sandbox.exec(["bash", "-c", script], { timeoutMs: 120_000, ...options, callId });
  return { ...result, stdout: textOf(result, "stdout"), stderr: textOf(result, "stderr") };
}

export function textOf(result: ExecResult, stream: "stdout" | "stderr"): string {
  const chunks = result.output.filter((chunk) => chunk.stream === stream).map((chunk) => chunk.data);
  return Buffer.concat(chunks).toString("utf8");
}

/** Asks again and again until the answer is true; fails after `timeoutMs`. */
export async function eventually(
  what: string,
  ask: () => boolean | Promise<boolean>,
  timeoutMs = 60_000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await ask())) {
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
