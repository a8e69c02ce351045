import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { SandlotError } from "../../errors.ts";
import type { FileContent, FileOptions, OutputChunk, ReadRange } from "../sandbox.ts";
import type { Call, Ending } from "./call.ts";
import {
  execRequest,
  type FileAnswer,
  type RunnerExecOptions,
  type RunnerExecResult,
  readAnswer,
  readRequest,
  toExecResult,
  writeAnswer,
  writeRequest,
} from "./calls.ts";
import {
  decodeDone,
  decodeHello,
  decodeOutput,
  encodeFrame,
  type Frame,
  FrameReader,
  type HelloReply,
  MalformedFrame,
  Op,
} from "./frames.ts";
import { garbageOf } from "./garbage.ts";
import { type Dial, type Line, RunnerGone } from "./line.ts";

export type { RunnerExecOptions, RunnerExecResult } from "./calls.ts";
export { RunnerGone } from "./line.ts";

export interface RunnerCall {
  readonly id: string;
  readonly running: boolean;
  readonly outputBytes: number;
}

export interface RunnerClientOptions {
  /** Where spilled output goes inside the sandbox: a random suffix is added. Default `/tmp/output-`. */
  readonly spillPrefix?: string;
}

const protocolVersion = 1;
const reconnectPausesMs = [0, 10, 50, 250, 1000];
const fileTimeoutMs = 30_000;
const fileAttempts = 3;
const settleMs = 1000;

/**
 * One connection to the runner of one sandbox, shared by any number of calls. A connection that breaks while the runner lives is made again and every call goes
 * on where it was; when the runner itself is gone, calls reject with `RunnerGone`. Idle, it costs a line and does not keep the process alive.
 */
export class RunnerClient implements AsyncDisposable {
  #instance = "";
  readonly #dial: Dial;
  readonly #spillPrefix: string;
  readonly #calls = new Map<string, Call>();
  /** Requests that are answered by a HELLO with their token: whatever was sent before it has then been dealt with. */
  readonly #errands = new Map<string, Errand>();
  /** Acknowledgements that wait for company. */
  readonly #settled: Buffer[] = [];
  #settling: NodeJS.Timeout | undefined;
  #line: Line | undefined;
  #opening: Promise<void> | undefined;
  #closed = false;
  #fruitless = 0;

  private constructor(dial: Dial, options: RunnerClientOptions) {
    this.#dial = dial;
    this.#spillPrefix = options.spillPrefix ?? "/tmp/output-";
  }

  /** Rejects as `dial` does. */
  static async connect(dial: Dial, options: RunnerClientOptions = {}): Promise<RunnerClient> {
    const client = new RunnerClient(dial, options);
    client.#adopt(await dial());
    try {
      await client.#errand([]);
    } catch (error) {
      await client.close();
      throw error;
    }
    return client;
  }

  /** A random number of the running runner, as hex: the same as before means that no result was lost. */
  get instance(): string {
    return this.#instance;
  }

  /** See `Sandbox.exec`. Rejects with `options.signal`'s reason when that ends the waiting, with `RunnerGone`, else resolves. */
  async exec(argv: readonly string[], options: RunnerExecOptions): Promise<RunnerExecResult> {
    return toExecResult(await this.#call(execRequest(argv, options, this.#spillPrefix), options));
  }

  /** Resolves when the runner has taken note; the command's `exec` resolves when its processes are dead. */
  async interrupt(callId: string): Promise<void> {
    await this.#errand([encodeFrame(Op.interrupt, callId)]);
  }

  /** `maxBytes` defaults to, and is at most, 64 MiB. The result is kept under its call id like that of a command. */
  readFile(path: string, options: FileOptions & ReadRange): Promise<FileContent> {
    const call = () => readRequest(path, { ...options, timeoutMs: fileTimeoutMs });
    return this.#file(call, readAnswer, options);
  }

  /** `data` has at most 64 MiB. Without `mode` a new file gets 0644 and an old one keeps its own. */
  writeFile(
    path: string,
    data: Uint8Array,
    options: FileOptions & { readonly mode?: number },
  ): Promise<{ readonly failure?: string }> {
    const call = () => writeRequest(path, data, { ...options, timeoutMs: fileTimeoutMs });
    return this.#file(call, writeAnswer, options);
  }

  /** The runner forgets the finished call of that id, and those that begin with it and a dot: told with the next frames, since waking it for this alone would slow down what comes next. */
  acknowledge(callId: string): void {
    this.#settle(encodeFrame(Op.acknowledge, callId));
  }

  /** All calls that the runner still knows, running or kept. */
  async calls(): Promise<readonly RunnerCall[]> {
    return (await this.#errand([])).calls;
  }

  /** Asks the runner to kill everything it started and to leave. Resolves when its line has closed. */
  async shutdown(): Promise<void> {
    await this.#errand([encodeFrame(Op.shutdown, "")]).catch((error: unknown) => {
      if (!(error instanceof RunnerGone)) throw error;
    });
    await this.close();
  }

  /** Ends the connection only; calls that wait reject with `RunnerGone`. Commands go on, another client may attach. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#settling);
    this.#line?.stream.destroy();
    this.#fail(new RunnerGone("the connection to the runner was closed on this side"));
    await this.#opening?.catch(() => undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** A reader or writer that processes inside killed, or whose bytes were dropped, is sent again: it does no harm twice. */
  async #file<T>(request: () => Call, answer: (ending: Ending) => FileAnswer<T>, options: FileOptions): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const { again, value } = answer(await this.#call(request(), options));
      if (!again || attempt === fileAttempts) return value;
      this.#settle(encodeFrame(Op.acknowledge, options.callId, new Uint8Array(1)));
    }
  }

  /** Joins the call of that id if this client waits for it already. */
  #call(fresh: Call, options: { onOutput?: (chunk: OutputChunk) => void; signal?: AbortSignal }): Promise<Ending> {
    options.signal?.throwIfAborted();
    const call = this.#calls.get(fresh.id) ?? fresh;
    const goesLive = options.onOutput !== undefined && !call.isLive;
    // What cannot be encoded throws here, before anything is noted.
    const frames = call === fresh || goesLive ? call.frames(goesLive) : undefined;
    const ending = call.wait(options.onOutput, options.signal, () => this.#abandon(call));
    this.#calls.set(call.id, call);
    if (frames !== undefined) this.#send(() => frames);
    return ending;
  }

  #abandon(call: Call): void {
    if (call.isAwaited) return;
    this.#calls.delete(call.id);
    if (this.#line !== undefined) this.#send(() => [encodeFrame(Op.detach, call.id)]);
  }

  #settle(frame: Buffer): void {
    this.#settled.push(frame);
    this.#settling ??= setTimeout(() => {
      this.#settling = undefined;
      if (this.#line !== undefined && this.#settled.length > 0) this.#send(() => []);
    }, settleMs).unref();
  }

  #takeSettled(): Buffer[] {
    return this.#settled.splice(0);
  }

  /** The answer names the calls only when nothing else is asked. */
  #errand(frames: readonly Buffer[]): Promise<HelloReply> {
    const token = randomUUID();
    const hello = encodeFrame(Op.hello, token, new Uint8Array(frames.length === 0 ? 0 : 1));
    return new Promise((resolve, reject) => {
      this.#errands.set(token, { frames: [...frames, hello], resolve, reject });
      this.#send(() => this.#errands.get(token)?.frames ?? []);
    });
  }

  /** On an open connection at once; else opening one sends whatever is pending. */
  #send(frames: () => readonly Buffer[]): void {
    if (this.#closed) {
      this.#fail(new RunnerGone("the connection to the runner was closed on this side"));
    } else if (this.#line !== undefined) {
      writeFrames(this.#line, [...this.#takeSettled(), ...frames()]);
    } else {
      this.#reopen();
    }
    this.#holdProcess();
  }

  #reopen(): void {
    this.#opening ??= this.#open()
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#opening = undefined;
      });
  }

  async #open(): Promise<void> {
    const pauseMs = reconnectPausesMs[this.#fruitless++];
    if (pauseMs === undefined) throw new RunnerGone("the runner closes every connection that is made to it");
    await sleep(pauseMs);
    const line = await this.#dial();
    if (this.#closed) {
      line.stream.destroy();
      return;
    }
    this.#adopt(line);
    writeFrames(line, [encodeFrame(Op.hello, "", new Uint8Array(1)), ...this.#takeSettled(), ...this.#pendingFrames()]);
  }

  #pendingFrames(): Buffer[] {
    return [
      ...[...this.#calls.values()].flatMap((call) => call.frames()),
      ...[...this.#errands.values()].flatMap((errand) => errand.frames),
    ];
  }

  #adopt(line: Line): void {
    const { stream } = line;
    const reader = new FrameReader();
    this.#line = line;
    stream.on("data", (arrived: Buffer) => {
      garbageOf(arrived.length);
      try {
        for (const frame of reader.push(arrived)) this.#hear(frame);
      } catch (error) {
        if (!(error instanceof MalformedFrame)) throw error;
        stream.destroy(error);
      }
      this.#holdProcess();
    });
    const broken = () => {
      if (this.#line !== line) return;
      this.#line = undefined;
      if (!this.#closed && this.#calls.size + this.#errands.size > 0) this.#reopen();
    };
    stream.on("error", () => undefined).on("end", () => stream.destroy());
    stream.on("close", broken);
    stream.resume();
    // One that closed while it was handed over says so no more.
    if (stream.closed) broken();
    this.#holdProcess();
  }

  #hear(frame: Frame): void {
    if (frame.op === Op.helloReply) {
      this.#welcome(frame.id, decodeHello(frame.body));
    } else if (frame.op === Op.output) {
      this.#fruitless = 0;
      this.#calls.get(frame.id)?.hear(decodeOutput(frame.body));
    } else if (frame.op === Op.done) {
      const done = decodeDone(frame.body);
      this.#fruitless = 0;
      const call = this.#calls.get(frame.id);
      this.#calls.delete(frame.id);
      call?.end(done);
    } else {
      throw new MalformedFrame(`a frame of the unknown kind ${frame.op}`);
    }
  }

  #welcome(token: string, hello: HelloReply): void {
    if (hello.version !== protocolVersion) {
      const words = `the runner speaks version ${hello.version} of its protocol, this server ${protocolVersion}; build it anew`;
      this.#fail(new SandlotError("sandbox", words));
      return;
    }
    if (this.#instance !== "" && this.#instance !== hello.instance) {
      this.#fail(new RunnerGone("another runner answers in the place of the one that was asked"));
      this.#line?.stream.destroy();
      this.#closed = true;
      return;
    }
    this.#instance = hello.instance;
    const errand = this.#errands.get(token);
    if (errand === undefined) return;
    this.#fruitless = 0;
    this.#errands.delete(token);
    errand.resolve(hello);
  }

  #fail(reason: unknown): void {
    const waiting = [...this.#calls.values()];
    const errands = [...this.#errands.values()];
    this.#calls.clear();
    this.#errands.clear();
    for (const call of waiting) call.fail(reason);
    for (const errand of errands) errand.reject(reason);
  }

  #holdProcess(): void {
    const stream = this.#line?.stream;
    if (this.#calls.size + this.#errands.size > 0) stream?.ref?.();
    else stream?.unref?.();
  }
}

interface Errand {
  readonly frames: readonly Buffer[];
  readonly resolve: (hello: HelloReply) => void;
  readonly reject: (reason: unknown) => void;
}

function writeFrames({ stream, tag }: Line, frames: readonly Buffer[]): void {
  stream.cork();
  for (const frame of frames) {
    if (tag.length > 0) stream.write(tag);
    stream.write(frame);
  }
  stream.uncork();
}
