import { type Environment, sandboxOf } from "../environments/environment.ts";
import { CONFIG_ENV } from "../environments/git.ts";
import { SandlotError } from "../errors.ts";
import type { Backend, ExecResult, Limits, Sandbox } from "../sandbox/sandbox.ts";
import { backendOf } from "../sandbox/several.ts";
import { collectProgram, EXIT, readCollected } from "./collect.ts";
import type { Source } from "./fresh.ts";
import { refuseHostKills } from "./host-pressure.ts";

/** What leaves an agent's sandbox, or why nothing can. */
export interface Submission {
  /** `git diff --binary` against the seal; empty when nothing changed, and when refused. */
  readonly patch: Uint8Array;
  /** Names in the work tree that the patch leaves out, at most 100. Bytes that are not UTF-8 are replaced. */
  readonly leftOut: readonly string[];
  readonly refused?: { readonly outcome: "POLICY_BROKE_SANDBOX" | "SUBMISSION_TOO_LARGE"; readonly reason: string };
}

export interface SubmissionRequest {
  readonly backend: Backend;
  readonly source: Source;
  readonly environment: Environment;
  /** The agent's, alive or dead. */
  readonly sandbox: Sandbox;
  readonly newId: () => string;
  /** Whether new files that git ignores are part of it; default false. */
  readonly ignored?: boolean;
  /** Of the helper sandbox that reads the tree. */
  readonly limits: Limits;
  readonly signal: AbortSignal;
}

export const MAX_PATCH_BYTES = 32 * 1024 * 1024;
/** Of all new and changed files together, before the diff is made. */
const MAX_CHANGED_BYTES = 8 * MAX_PATCH_BYTES;
/** The patch, the names of what it leaves out, and some words. */
const KEEP_BYTES = MAX_PATCH_BYTES + 8 * 1024 * 1024;
const COLLECT_TIMEOUT_MS = 300_000;
/** Where the agent's root lies in the helper, and where a copy of its work tree does. */
const VIEW = "/submission";
const COPY = "/tmp/sandlot-submission";

/**
 * Reads the work tree of an agent's sandbox as a patch against the seal. The sandbox is frozen meanwhile and goes on afterwards as if nothing had
 * happened. Nothing of the agent's is run or trusted: a helper sandbox, made from the sealed environment, looks at a private view of the agent's
 * files with its own pristine git directory, ignore rules and attributes. Fault `sandbox` when the infrastructure failed.
 */
export async function takeSubmission(request: SubmissionRequest): Promise<Submission> {
  const { source, environment, sandbox, signal } = request;
  const backend = backendOf(request.backend, environment.backend);
  signal.throwIfAborted();
  const frozen = await freezeIfAlive(sandbox);
  try {
    const helper = await openHelper(request);
    try {
      return await collect(helper, request, backend.capabilities.isolation ? "" : "copy");
    } finally {
      void source.discard(helper);
    }
  } finally {
    await frozen?.[Symbol.asyncDispose]();
  }
}

/** One that stands ready if it can be given the view afterwards. */
async function openHelper(request: SubmissionRequest): Promise<Sandbox> {
  const { source, environment, sandbox, newId, limits, signal } = request;
  const backend = backendOf(request.backend, environment.backend);
  const { user: _, ...where } = sandboxOf(environment);
  const view = { of: sandbox.id, at: VIEW, within: environment.workdir };
  const plain = { ...where, limits: roomy(limits), network: "none" } as const;
  if (backend.attach === undefined) return backend.create({ id: newId(), ...plain, views: [view] }, signal);
  const helper = await source.obtain({ id: newId(), ...plain, views: [] }, signal);
  try {
    await backend.attach(helper.id, view);
    return helper;
  } catch (error) {
    void source.discard(helper);
    throw error;
  }
}

/** The helper has room for the largest submission, whatever a policy may use: what it lacks, the host lacks. */
function roomy(limits: Limits): Limits {
  return { ...limits, memoryMiB: Math.max(limits.memoryMiB, 1_024), diskMiB: Math.max(limits.diskMiB, 2_048) };
}

/** A sandbox whose first process is gone needs no freezing: its files lie still. */
async function freezeIfAlive(sandbox: Sandbox): Promise<AsyncDisposable | undefined> {
  if (!(await sandbox.alive())) return undefined;
  try {
    return await sandbox.freeze();
  } catch (error) {
    if (await sandbox.alive()) throw error;
    return undefined;
  }
}

/** `copy`: without isolation a view is the agent's own folder, which must not change. */
async function collect(
  helper: Sandbox,
  { environment, ignored = false, signal }: SubmissionRequest,
  copy: "" | "copy",
): Promise<Submission> {
  const result = await helper.exec(["bash", "-c", collectProgram()], {
    callId: "collect",
    env: {
      ...environment.env,
      ...CONFIG_ENV,
      INSIDE: environment.workdir.slice(1),
      PRISTINE: helper.locate(environment.workdir),
      VIEW: helper.locate(VIEW),
      COPY: copy && helper.locate(COPY),
      SEAL: environment.seal,
      TAKE_IGNORED: ignored ? "yes" : "",
      MAX_PATCH_BYTES: String(MAX_PATCH_BYTES),
      MAX_CHANGED_BYTES: String(MAX_CHANGED_BYTES),
    },
    timeoutMs: COLLECT_TIMEOUT_MS,
    keepBytes: KEEP_BYTES,
    signal,
  });
  const { leftOut, patch } = readCollected(bytesOf(result, "stdout"));
  const refused = refusal(result, environment, patch.length);
  return refused === undefined ? { patch, leftOut } : { patch: new Uint8Array(), leftOut, refused };
}

function refusal(result: ExecResult, environment: Environment, patchBytes: number): Submission["refused"] {
  if (result.exitCode === EXIT.ok) return patchBytes > MAX_PATCH_BYTES ? tooLarge("the patch is larger") : undefined;
  const said = bytesOf(result, "stderr").toString("utf8").trimEnd();
  if (result.exitCode === EXIT.noTree) return broke(`${environment.workdir} is ${said}`);
  if (result.exitCode === EXIT.tooLarge) return tooLarge(said);
  refuseHostKills(result);
  if (result.timedOut !== false) return broke(`${environment.workdir} could not be read in ${COLLECT_TIMEOUT_MS} ms`);
  if (result.oomKills > 0) return broke(`${environment.workdir} could not be read within the memory of a sandbox`);
  if (result.exitCode === EXIT.unreadable) return broke(`${environment.workdir} could not be read: ${said}`);
  throw new SandlotError("sandbox", `the submission could not be read: ${said.slice(-1000)}`);
}

function broke(reason: string): NonNullable<Submission["refused"]> {
  return { outcome: "POLICY_BROKE_SANDBOX", reason };
}

function tooLarge(what: string): NonNullable<Submission["refused"]> {
  return { outcome: "SUBMISSION_TOO_LARGE", reason: `${what} than any submission may be (${MAX_PATCH_BYTES} bytes)` };
}

function bytesOf(result: ExecResult, stream: "stdout" | "stderr"): Buffer {
  return Buffer.concat(result.output.filter((chunk) => chunk.stream === stream).map(({ data }) => data));
}
