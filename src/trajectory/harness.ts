import { createHash, randomBytes } from "node:crypto";
import { isFault, SandlotError } from "../errors.ts";
import type { ExecResult, OutputChunk, Sandbox } from "../sandbox/sandbox.ts";
import type { Calls } from "./calls.ts";
import type { ExecCall, ExecOutcome, FilePiece, ReadCall, WriteCall, WriteOutcome } from "./harness-calls.ts";
import type { Life } from "./life.ts";
import { type Execution, type ExecutionResult, restoreChunks, storeChunks, type WrittenResult } from "./lines.ts";
import { LiveOutput } from "./live-output.ts";
import type { Waiting } from "./rollouts.ts";
import { BROKEN, intact } from "./step.ts";
import { PrefixedSandbox } from "./step-sandbox.ts";

export interface HarnessParts {
  readonly life: Life;
  readonly calls: Calls;
  /** Throws `ended` unless the trajectory is ACTIVE. */
  readonly refuseInactive: () => void;
  /** Told of every failure of work. */
  readonly failed: (error: unknown) => void;
}

const KEEP_BYTES = 1 << 20;
/** One read of a file: the server holds it a few times over, as read, as encoded and as sent. */
const PIECE_BYTES = 1 << 20;

/**
 * What a harness does in the sandbox of a live trajectory: at once, beside the queue of steps, each call that may change something journalled as intent and outcome. After a crash nothing is carried
 * on until the call is repeated: the runner has the program or its result.
 */
export class Harness {
  readonly #parts: HarnessParts;
  readonly #running = new Map<string, PrefixedSandbox>();
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(parts: HarnessParts) {
    this.#parts = parts;
  }

  exec(call: ExecCall, waiting: Waiting): Promise<ExecOutcome> {
    const output = new LiveOutput(call.keepBytes || KEEP_BYTES);
    const about = { key: keyOf(call.callId), digest: execDigest(call), callId: call.callId };
    const answered = this.#parts.life.ledger.entries.get(about.key)?.answer !== undefined;
    return this.#parts.calls.besides(waiting, answered ? about : { ...about, output }, () =>
      this.#track(this.#exec(call, about, output).finally(() => output.finish())),
    );
  }

  /** The live output of a program that runs; undefined once its result is there. */
  liveOutput(callId: string, result: Promise<unknown>): Promise<LiveOutput | undefined> {
    return this.#parts.calls.outputOf(keyOf(callId), result);
  }

  /** The kept output of a program that ended, from the journal. */
  storedOutput(callId: string): OutputChunk[] {
    const { life } = this.#parts;
    const answer = life.ledger.entries.get(keyOf(callId))?.answer;
    const line = answer && life.read(answer);
    return line?.type === "exec_result" ? restoreChunks(line.output) : [];
  }

  writeFile(call: WriteCall, waiting: Waiting): Promise<WriteOutcome> {
    const about = { key: keyOf(call.callId), digest: writeDigest(call), callId: call.callId };
    return this.#parts.calls.besides(waiting, about, () => this.#track(this.#write(call, about)));
  }

  /** Not journalled: it changes nothing. */
  async *readFile({ path, offset, maxBytes }: ReadCall, { signal }: Waiting): AsyncIterable<FilePiece> {
    const end = maxBytes === 0 ? Number.POSITIVE_INFINITY : offset + maxBytes;
    for (let at = offset; ; ) {
      signal.throwIfAborted();
      const most = Math.min(PIECE_BYTES, end - at);
      const piece = await this.#track(this.#read(path, at, most));
      yield { ...piece, offset: at };
      at += piece.data.length;
      if (piece.type !== "file" || piece.data.length < most || at >= end) return;
    }
  }

  /** Ends a program; unknown ids are ignored. */
  async interrupt(callId: string): Promise<void> {
    await this.#running.get(callId)?.interrupt();
  }

  async interruptAll(): Promise<void> {
    await Promise.all([...this.#running.values()].map((one) => one.interrupt()));
  }

  /** Resolves when all that is under way now is done. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  async #exec(call: ExecCall, { key, digest }: Known, output: LiveOutput): Promise<ExecOutcome> {
    const { life } = this.#parts;
    const { ledger } = life;
    const known = ledger.entries.get(key);
    if (known?.answer) return { ...(life.read(known.answer) as ExecutionResult).result, replayed: true }; // one key, one kind of line
    const sandbox = this.#sandbox();
    const timeoutMs = call.timeoutMs || ledger.created.limits.commandMs;
    if (!known) life.write({ ...execution(call), key, digest, timeoutMs });
    const prefix = prefixOf(call.callId);
    const step = new PrefixedSandbox(sandbox, prefix, output);
    this.#running.set(call.callId, step);
    output.begin();
    try {
      const result = ledger.broken
        ? BROKEN_RESULT
        : await step.exec(call.argv, this.#options(call, sandbox, timeoutMs));
      const broken = ledger.broken || !(await intact(life, result));
      const outcome = outcomeOf(result, timeoutMs);
      life.write({
        type: "exec_result",
        at: Date.now(),
        key,
        result: outcome,
        ...(broken ? { broken: true as const } : {}),
        output: storeChunks(result.output),
      });
      sandbox.acknowledge(prefix);
      return { ...outcome, replayed: false };
    } finally {
      this.#running.delete(call.callId);
    }
  }

  #options(call: ExecCall, sandbox: Sandbox, timeoutMs: number) {
    const { bare } = this.#parts.life.ledger.created.call;
    return {
      cwd: sandbox.locate(call.workdir || bare?.workdir || sandbox.workdir),
      env: { ...sandbox.env, ...bare?.env, ...call.env },
      stdin: call.stdin,
      timeoutMs,
      noOutputTimeoutMs: call.noOutputMs,
      keepBytes: call.keepBytes || KEEP_BYTES,
    };
  }

  async #write({ callId, path, mode, data }: WriteCall, { key, digest }: Known): Promise<WriteOutcome> {
    const { life } = this.#parts;
    const known = life.ledger.entries.get(key);
    if (known?.answer) return { ...(life.read(known.answer) as WrittenResult).result, replayed: true }; // one key, one kind of line
    const sandbox = this.#sandbox();
    const facts = { path, bytes: data.length, sha256: sha256(data), ...(mode === undefined ? {} : { mode }) };
    if (!known) life.write({ type: "write", at: Date.now(), key, digest, callId, ...facts });
    const prefix = prefixOf(callId);
    const step = new PrefixedSandbox(sandbox, prefix);
    const result = await step.writeFile(sandbox.locate(path), data, mode === undefined ? {} : { mode });
    life.write({ type: "write_result", at: Date.now(), key, result });
    sandbox.acknowledge(prefix);
    return { ...result, replayed: false };
  }

  async #read(path: string, offset: number, maxBytes: number) {
    const sandbox = this.#sandbox();
    const prefix = `r${randomBytes(16).toString("hex")}`;
    const step = new PrefixedSandbox(sandbox, prefix);
    const content = await step.readFile(sandbox.locate(path), { offset, maxBytes });
    sandbox.acknowledge(prefix);
    return content;
  }

  #sandbox(): Sandbox {
    this.#parts.refuseInactive();
    const { sandbox } = this.#parts.life;
    if (sandbox) return sandbox;
    throw new SandlotError("sandbox", "the sandbox of this trajectory is gone");
  }

  /** A sandbox that was given back meanwhile is the trajectory's end, and is told as that. */
  async #track<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work);
    try {
      return await work;
    } catch (error) {
      this.#parts.failed(error);
      if (isFault(error, "ended")) this.#parts.refuseInactive();
      throw error;
    } finally {
      this.#underWay.delete(work);
    }
  }
}

type Known = { readonly key: string; readonly digest: string };

const keyOf = (callId: string): string => `x:${callId}`;

/** A call id of the client's may be anything; one of a sandbox may not. */
const prefixOf = (callId: string): string => `x${sha256(callId).slice(0, 32)}`;

const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");

function execDigest(call: ExecCall): string {
  const { argv, workdir, timeoutMs, noOutputMs, keepBytes, stdin } = call;
  const env = Object.entries(call.env).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return sha256(JSON.stringify(["exec", argv, env, workdir, timeoutMs, noOutputMs, keepBytes, sha256(stdin)]));
}

function writeDigest({ path, mode, data }: WriteCall): string {
  return sha256(JSON.stringify(["write", path, mode ?? null, sha256(data)]));
}

function execution({ callId, argv, env, workdir, stdin }: ExecCall): Omit<Execution, "key" | "digest" | "timeoutMs"> {
  const envNames = Object.keys(env).toSorted();
  return { type: "exec", at: Date.now(), callId, argv, workdir, envNames, stdinBytes: stdin.length };
}

function outcomeOf(result: ExecResult, timeoutMs: number): ExecutionResult["result"] {
  const { exitCode, signal, outputBytes, truncated, timedOut, interrupted, oomKills, durationMs, note } = result;
  return {
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(signal === undefined ? {} : { signal }),
    kind: timedOut !== false ? "TIMED_OUT" : interrupted ? "INTERRUPTED" : "OK",
    outputBytes,
    outputTruncated: truncated,
    oomKills,
    durationMs: Math.round(durationMs),
    timeoutMs,
    ...(note === undefined ? {} : { note }),
  };
}

const BROKEN_RESULT: ExecResult = {
  exitCode: 126,
  output: [],
  outputBytes: 0,
  truncated: false,
  timedOut: false,
  interrupted: false,
  oomKills: 0,
  durationMs: 0,
  note: BROKEN,
};
