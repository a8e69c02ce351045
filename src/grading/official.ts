import { SandlotError } from "../errors.ts";
import type { ExecResult, Sandbox } from "../sandbox/sandbox.ts";
import { APPLY_CHAINS, applyPatch, patchFileOf, patchFor } from "./apply.ts";
import { type FreshOptions, inFreshSandbox } from "./fresh.ts";
import { gatherLog } from "./gather-log.ts";
import { placeFile, placeFiles } from "./hidden-files.ts";
import { refuseHostKills } from "./host-pressure.ts";
import { restoreFiles } from "./restore.ts";
import type { GraderSpec } from "./spec.ts";

export interface OfficialRequest extends FreshOptions {
  readonly spec: GraderSpec;
  readonly patch: Uint8Array;
  readonly timeoutMs: number;
}

export interface RunTimings {
  readonly sandboxMs: number;
  readonly applyMs: number;
  readonly testMs: number;
}

/** How the official script's run ended. Only `complete` may lead to a reward of 1. */
export type OfficialRun = { readonly timings: RunTimings } & (
  | { readonly kind: "not_applied"; readonly reason: string }
  | ({ readonly kind: "complete" } & Log)
  /** The graded code went over a limit of its own, or ended the script: the log is not whole. */
  | ({
      readonly kind: "over_limit";
      readonly outcome: "TESTS_TIMED_OUT" | "TESTS_DID_NOT_FINISH";
      readonly reason: string;
    } & Log)
);

interface Log {
  readonly log: Uint8Array;
  readonly logSha256: string;
  /** Kills for want of memory in a run that went on to its end. */
  readonly oomKills: number;
  /** The host ended some of its processes for lack of its own memory. */
  readonly hostPressed: boolean;
  /** What the spec's `results` held when the script had ended; no data: no such file. */
  readonly results: readonly { readonly path: string; readonly data?: Uint8Array }[];
}

export const MAX_LOG_BYTES = 64 * 1024 * 1024;
/** Of a file that is judged as it is, and not by a program of the task. */
export const MAX_RESULT_BYTES = 1024 * 1024;
/** Where the harness puts the script. */
const SCRIPT_FILE = "/eval.sh";
const BEFORE_FILE = "/before.sh";

/**
 * Applies a patch in a fresh sandbox of the environment and runs the family's own script there, byte for byte, stdout and stderr on one pipe. A
 * moment later nothing of the sandbox is left. Fault `sandbox` when the infrastructure failed.
 */
export function runOfficial(request: OfficialRequest): Promise<OfficialRun> {
  return inFreshSandbox(request, (sandbox, sandboxMs) => applyAndTest(sandbox, request, sandboxMs));
}

async function applyAndTest(sandbox: Sandbox, request: OfficialRequest, sandboxMs: number): Promise<OfficialRun> {
  const { spec, patch, timeoutMs, signal } = request;
  const started = performance.now();
  const chain = APPLY_CHAINS[spec.apply];
  await placeFiles(sandbox, spec.files ?? [], signal);
  await Promise.all([
    placeFile(sandbox, patchFileOf(chain), patchFor(chain, patch), signal),
    placeFile(sandbox, SCRIPT_FILE, Buffer.from(spec.script), signal),
  ]);
  if (spec.before) await runBefore(sandbox, spec.before, signal);
  const applied = patch.length === 0 || (await applyPatch(sandbox, chain, signal));
  if (applied && spec.restore) await restoreFiles(sandbox, spec.restore, signal);
  const applyMs = performance.now() - started;
  if (!applied) {
    const reason = `no command of ${spec.apply} applies the patch`;
    return { kind: "not_applied", reason, timings: { sandboxMs, applyMs, testMs: 0 } };
  }
  const result = await runScript(sandbox, request);
  const gathered = await gatherLog(result.output);
  const timings = { sandboxMs, applyMs, testMs: performance.now() - started - applyMs };
  const { oomKills, hostOomKills } = result;
  const known = { ...gathered, oomKills, hostPressed: hostOomKills !== undefined, timings };
  const over = overLimit(result, timeoutMs);
  if (over !== undefined) return { kind: "over_limit", ...over, ...known, results: [] };
  const maxBytes = spec.reading === undefined ? MAX_RESULT_BYTES : MAX_LOG_BYTES;
  const read = await readResults(sandbox, spec.results ?? [], maxBytes, signal);
  if (read.tooLarge === undefined) return { kind: "complete", ...known, results: read.results };
  const reason = `the tests wrote more than ${maxBytes} bytes to ${read.tooLarge}`;
  return { kind: "over_limit", outcome: "TESTS_DID_NOT_FINISH", reason, ...known, results: [] };
}

/** Nothing of the submission is there yet: that it fails is the doing of the task. */
async function runBefore(sandbox: Sandbox, script: string, signal: AbortSignal): Promise<void> {
  await placeFile(sandbox, BEFORE_FILE, Buffer.from(script), signal);
  const argv = ["bash", "-c", 'exec /bin/bash "$0" 2>&1', sandbox.locate(BEFORE_FILE)];
  const result = await sandbox.exec(argv, {
    callId: "before",
    timeoutMs: BEFORE_TIMEOUT_MS,
    keepBytes: 64 * 1024,
    signal,
  });
  if (result.exitCode === 0) return;
  refuseHostKills(result);
  const said = Buffer.concat(result.output.map(({ data }) => data)).toString("utf8");
  const how = result.exitCode === undefined ? "did not end" : `exit code ${result.exitCode}`;
  throw new SandlotError(
    "task",
    `what the task does before a submission is applied failed: ${how}\n${said.slice(-2000)}`,
  );
}

const BEFORE_TIMEOUT_MS = 300_000;

/** `tooLarge`: the path of a file that is. */
async function readResults(sandbox: Sandbox, paths: readonly string[], maxBytes: number, signal: AbortSignal) {
  const results: { readonly path: string; readonly data?: Uint8Array }[] = [];
  for (const [index, path] of paths.entries()) {
    const file = await sandbox.readFile(path, { callId: `result-${index}`, maxBytes: maxBytes + 1, signal });
    if (file.sizeBytes > maxBytes) return { results, tooLarge: path };
    results.push(file.type === "file" ? { path, data: file.data } : { path });
  }
  return { results, tooLarge: undefined };
}

function runScript(sandbox: Sandbox, { timeoutMs, signal }: OfficialRequest): Promise<ExecResult> {
  const argv = ["bash", "-c", 'exec /bin/bash "$0" 2>&1', sandbox.locate(SCRIPT_FILE)];
  return sandbox.exec(argv, { callId: "script", timeoutMs, keepBytes: MAX_LOG_BYTES, signal });
}

function overLimit(result: ExecResult, timeoutMs: number) {
  const unfinished = (reason: string) => ({ outcome: "TESTS_DID_NOT_FINISH", reason }) as const;
  if (result.timedOut !== false) {
    return { outcome: "TESTS_TIMED_OUT", reason: `the tests ran longer than ${timeoutMs} ms` } as const;
  }
  if (result.truncated) return unfinished(`the tests printed more than ${MAX_LOG_BYTES} bytes`);
  if (result.note !== undefined) return unfinished(`the test script: ${result.note}`);
  if (result.exitCode === undefined) return unfinished(`the test script was ended by signal ${result.signal}`);
  return undefined;
}
