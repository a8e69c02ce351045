import { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { SandlotError } from "../../errors.ts";
import { RunnerGone, type Stream } from "../runner/line.ts";
import { type Envd, EnvdError, type Telling } from "./envd.ts";
import type { Event } from "./envelopes.ts";

/** What is known to be gone: the runner's process, or its whole machine. */
export interface End {
  what?: "process" | "machine";
}

/** The runner's process in a machine. */
export interface RunnerProcess {
  readonly envd: Envd;
  readonly pid: number;
  /** Whether the service still has the sandbox; rejects when it does not say. */
  readonly exists: () => Promise<boolean>;
  readonly end: End;
}

/** Of input in one request. */
const INPUT_BYTES = 512 * 1_024;

/**
 * Attaches to the runner's standard input and output. Rejects with `RunnerGone` when the process or its sandbox has ended; with fault `sandbox` when neither could be found out in time.
 */
export async function attach(process: RunnerProcess): Promise<Stream> {
  if (process.end.what !== undefined) throw new RunnerGone(`the runner's ${process.end.what} is gone`);
  const { attachMs } = process.envd.waits;
  const until = performance.now() + attachMs;
  for (let pauseMs = 50; ; pauseMs = Math.min(2 * pauseMs, 5_000)) {
    try {
      return await begin(process, await process.envd.connect(process.pid));
    } catch (error) {
      if (error instanceof RunnerGone || !(error instanceof EnvdError)) throw error;
      await refuseEnded(process, error);
      if (performance.now() > until) {
        const words = `the sandbox's daemon could not be reached for ${attachMs / 1_000} s: ${error.message}`;
        throw new SandlotError("sandbox", words, { cause: error });
      }
    }
    await sleep(pauseMs * (0.5 + Math.random()));
  }
}

/** The daemon speaks for its processes; that the sandbox is gone only the service may say, since what stands before the daemon fails with the same words. */
async function refuseEnded({ exists, end }: RunnerProcess, cause: EnvdError): Promise<void> {
  if (cause.code === "not_found") {
    end.what = "process";
    throw new RunnerGone("the runner's process has ended", { cause });
  }
  if ((await exists().catch(() => true)) === false) {
    end.what = "machine";
    throw new RunnerGone("the sandbox is gone", { cause });
  }
}

async function begin(process: RunnerProcess, telling: Telling): Promise<Stream> {
  const events = telling[Symbol.asyncIterator]();
  const first = await events.next();
  if (first.done !== true && first.value.type === "start") return new ProcessStream(process, telling, events);
  telling.close();
  process.end.what = "process";
  throw new RunnerGone("the runner's process has ended");
}

class ProcessStream extends Duplex {
  readonly #process: RunnerProcess;
  readonly #telling: Telling;
  readonly #events: AsyncIterator<Event>;
  #reading = false;

  constructor(process: RunnerProcess, telling: Telling, events: AsyncIterator<Event>) {
    super({ allowHalfOpen: false });
    this.#process = process;
    this.#telling = telling;
    this.#events = events;
  }

  override _read(): void {
    if (this.#reading) return;
    this.#reading = true;
    void this.#deliver().finally(() => {
      this.#reading = false;
    });
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#send([chunk]).then(() => done(), done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error) => void): void {
    this.#send(chunks.map(({ chunk }) => chunk)).then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#telling.close();
    done(error);
  }

  /** A request that is answered with an error may have been heard: then the place in the stream is lost, and whoever attaches next finds it by the secret. */
  async #send(chunks: readonly Buffer[]): Promise<void> {
    const all = Buffer.concat(chunks);
    for (let at = 0; at < all.length; at += INPUT_BYTES) {
      await this.#process.envd.sendInput(this.#process.pid, all.subarray(at, at + INPUT_BYTES));
    }
  }

  async #deliver(): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await this.#events.next();
        if (done === true || value.type === "end") {
          if (done !== true) this.#process.end.what = "process";
          this.push(null);
          this.destroy();
          return;
        }
        if (value.type === "stdout" && !this.push(value.data)) return;
      }
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }
}
