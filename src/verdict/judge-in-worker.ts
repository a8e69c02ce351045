import { Worker } from "node:worker_threads";
import { SandlotError } from "../errors.ts";
import type { Expectation, Verdict } from "./verdict.ts";
import type { Answer, Question } from "./worker.ts";

/** `over_limit`: the log could not be judged in the time or memory allowed, which is the doing of who wrote the log. */
export type Judgement =
  | { readonly kind: "verdict"; readonly verdict: Verdict }
  | { readonly kind: "over_limit"; readonly reason: string };

export interface JudgeLimits {
  readonly workers: number;
  /** Per log, from the moment a worker takes it. */
  readonly deadlineMs: number;
  /** Heap of one worker. */
  readonly memoryMiB: number;
  /** How many statuses a verdict brings back; the lists of expected tests are always whole. */
  readonly keepStatuses: number;
}

export const JUDGE_LIMITS: JudgeLimits = { workers: 1, deadlineMs: 60_000, memoryMiB: 1024, keepStatuses: 50_000 };

interface Job {
  readonly question: Question;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (judgement: Judgement) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Judges logs outside the event loop: no log can stop the server. Workers start when first needed, stay, and are replaced after a log that was too
 * much for one. The owner closes it.
 */
export class Judge {
  readonly #limits: JudgeLimits;
  readonly #waiting: Job[] = [];
  readonly #idle: Worker[] = [];
  readonly #busy = new Set<Worker>();
  #closed = false;

  constructor(limits: Partial<JudgeLimits> = {}) {
    this.#limits = { ...JUDGE_LIMITS, ...limits };
  }

  /** Fault `task`: the rule or the parser is unknown. A signal ends the work and rejects with its reason. */
  judge(log: Uint8Array, expectation: Expectation, signal?: AbortSignal): Promise<Judgement> {
    return new Promise((resolve, reject) => {
      const question = { log, expectation, keepStatuses: this.#limits.keepStatuses };
      this.#waiting.push({ question, signal, resolve, reject });
      this.#next();
    });
  }

  /** Ends all workers; what was asked and not yet answered rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#next();
    await Promise.all([...this.#idle, ...this.#busy].map((worker) => worker.terminate()));
  }

  #next(): void {
    while (this.#waiting.length > 0 && (this.#closed || this.#busy.size < this.#limits.workers)) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      if (this.#closed) job.reject(new SandlotError("draining", "the server stops and judges no more logs"));
      else if (job.signal?.aborted) job.reject(job.signal.reason);
      else this.#run(job);
    }
  }

  #run(job: Job): void {
    const worker = this.#idle.pop() ?? startWorker(this.#limits.memoryMiB);
    this.#busy.add(worker);
    worker.ref();
    const finish = (alive: boolean, settle: () => void): void => {
      clearTimeout(deadline);
      job.signal?.removeEventListener("abort", onAbort);
      worker.off("message", onMessage).off("error", onError).off("exit", onExit);
      this.#busy.delete(worker);
      if (alive) this.#idle.push(worker);
      else void worker.terminate();
      worker.unref();
      settle();
      this.#next();
    };
    const { deadlineMs, memoryMiB } = this.#limits;
    const giveUp = (reason: string): void => finish(false, () => job.resolve({ kind: "over_limit", reason }));
    const onAbort = (): void => finish(false, () => job.reject(job.signal?.reason));
    const onMessage = (answer: Answer): void => finish(true, () => settleAnswer(job, answer));
    const onExit = (): void => finish(false, () => job.reject(new Error("the thread that judges logs ended")));
    const onError = (error: unknown): void => {
      if (isOutOfMemory(error)) giveUp(`no verdict on the log within ${memoryMiB} MiB of memory`);
      else finish(false, () => job.reject(error));
    };
    const deadline = setTimeout(() => giveUp(`no verdict on the log within ${deadlineMs} ms`), deadlineMs);
    job.signal?.addEventListener("abort", onAbort);
    worker.on("message", onMessage).on("error", onError).on("exit", onExit);
    worker.postMessage(job.question);
  }
}

function settleAnswer(job: Job, answer: Answer): void {
  if (answer.kind === "verdict") job.resolve(answer);
  else if (answer.kind === "too_large") job.resolve({ kind: "over_limit", reason: answer.message });
  else if (answer.kind === "task") job.reject(new SandlotError("task", answer.message));
  else job.reject(new Error(`judging a log failed: ${answer.message}`));
}

/** The file beside this one, as source or as compiled. */
function startWorker(memoryMiB: number): Worker {
  const file = import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js";
  const worker = new Worker(new URL(file, import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: memoryMiB, maxYoungGenerationSizeMb: 64 },
    env: {},
  });
  /** One that runs out of memory while it is being terminated has nobody else to tell. */
  return worker.on("error", () => {});
}

function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
}
