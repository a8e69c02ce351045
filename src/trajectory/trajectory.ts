import { isFault, SandlotError } from "../errors.ts";
import type { Grade } from "../grading/grade.ts";
import type { OutputChunk, Sandbox } from "../sandbox/sandbox.ts";
import type { Task } from "../tasks/task.ts";
import { Meter, spent } from "./budget.ts";
import { FINAL, finalize, lookNow } from "./final-grade.ts";
import type { Journal, Position } from "./journal.ts";
import { type Ledger, openIntents, post } from "./ledger.ts";
import type { Judge, Life, Running } from "./life.ts";
import { type GradeOutcome, type Line, restoreChunks, type StepIntent, type TurnIntent } from "./lines.ts";
import { LiveOutput } from "./live-output.ts";
import { SerialQueue } from "./queue.ts";
import type { Ending, ExecuteCall, State, StepCall, StepResult, Summary, TurnResult, Waiting } from "./rollouts.ts";
import { runStep, stepDigest } from "./step.ts";
import { summarise } from "./summary.ts";
import { runTurn, turnDigest } from "./turn.ts";
import { Bell, waitFor } from "./waiting.ts";

export interface TrajectoryParts {
  readonly ledger: Ledger;
  readonly journal: Journal;
  readonly sandbox: Sandbox | undefined;
  readonly task: Task;
  readonly judge: Judge;
  /** Called once when the sandbox is gone: frees slot and environment. */
  readonly freed: () => void;
  /** Called once when it is over and nothing of it is left. */
  readonly over: (trajectory: Trajectory, summary: Summary) => void;
}

/**
 * A live trajectory: one serial queue over one sandbox. Every public call may be repeated; the end of a call's waiting never ends its work.
 */
export class Trajectory {
  readonly id: string;
  leaseMs: number;
  /** performance.now() at which it ends unless renewed. */
  leaseEnds: number;
  readonly #life: Life;
  readonly #queue = new SerialQueue();
  readonly #inFlight = new Map<
    string,
    { readonly digest: string; readonly work: Promise<unknown>; readonly output?: LiveOutput }
  >();
  readonly #bell = new Bell();
  readonly #abort = new AbortController();
  readonly #journal: Journal;
  readonly #over: TrajectoryParts["over"];
  #queuedSteps = 0;
  #attached = 0;
  #end: Promise<Summary> | undefined;

  constructor({ ledger, journal, sandbox, task, judge, freed, over }: TrajectoryParts) {
    this.#over = over;
    this.id = ledger.created.id;
    this.leaseMs = ledger.created.leaseMs;
    this.leaseEnds = performance.now() + this.leaseMs;
    this.#journal = journal;
    let gone: Promise<void> | undefined;
    this.#life = {
      ledger,
      meter: new Meter(ledger),
      task,
      judge,
      ending: this.#abort.signal,
      sandbox,
      running: undefined,
      write: (line) => this.#write(line),
      read: (position) => journal.read(position),
      giveBackSandbox() {
        const { sandbox } = this;
        this.sandbox = undefined;
        gone ??= (sandbox?.dispose() ?? Promise.resolve()).catch(() => undefined).then(freed);
        return gone;
      },
    };
  }

  get state(): State {
    const { ended, final, finalIntent } = this.#life.ledger;
    if (ended) return "ENDED";
    if (final) return "SUBMITTED";
    return finalIntent ? "GRADING" : "ACTIVE";
  }

  get ledger(): Ledger {
    return this.#life.ledger;
  }

  get running(): Running | undefined {
    return this.#life.running;
  }

  /** Resolves when all that is queued now is done. */
  idle(): Promise<void> {
    return this.#queue.idle();
  }

  async execute(call: ExecuteCall, waiting: Waiting): Promise<StepResult> {
    const { callId, tool, argumentsJson, timeoutMs } = call;
    const key = `c:${callId}`;
    const output = new LiveOutput();
    const work = { key, callId, tool, argumentsJson, timeoutMs, arrivedAt: performance.now(), output };
    const fence = { at: call.step, next: () => this.#life.ledger.lastStep + this.#queuedSteps + 1, what: "step" };
    return this.#carryOut(waiting, { key, digest: stepDigest(work), fence, callId, output }, () => {
      this.#queuedSteps += 1;
      return () => {
        this.#queuedSteps -= 1;
        return runStep(this.#life, work);
      };
    });
  }

  async step({ callId, turn, calls }: StepCall, waiting: Waiting): Promise<TurnResult> {
    const key = `c:${callId}`;
    const work = { key, callId, calls, arrivedAt: performance.now() };
    let queued = 0;
    const next = () => this.#life.ledger.turns + this.#queuedTurns + 1;
    return this.#carryOut(
      waiting,
      { key, digest: turnDigest(calls), fence: { at: turn, next, what: "turn" }, callId },
      () => {
        this.#queuedTurns += 1;
        queued = calls.length;
        this.#queuedSteps += queued;
        return () => {
          this.#queuedTurns -= 1;
          this.#queuedSteps -= queued;
          return runTurn(this.#life, work);
        };
      },
    );
  }
  #queuedTurns = 0;

  async grade(finalNow: boolean, callId: string, waiting: Waiting): Promise<Grade & { readonly submitted: boolean }> {
    const { final } = this.#life.ledger;
    if (final) return withSubmitted(final);
    if (finalNow || this.state === "GRADING") {
      const submitted = spent(this.#life.meter.left(), this.#life.ledger.created.limits) === undefined;
      const about = { key: FINAL, digest: "", callId };
      const outcome = await this.#carryOut(waiting, about, () => () => finalize(this.#life, { submitted }));
      return withSubmitted(outcome);
    }
    const key = `g:${callId || crypto.randomUUID()}`;
    const { judged } = await this.#carryOut(waiting, { key, digest: "", callId }, () => () => lookNow(this.#life, key));
    const about = { key: `${key}:judged`, digest: "", callId };
    return withSubmitted(await this.#shared(waiting, about, judged));
  }

  /** Ends the running command if it belongs to the call id (or whatever runs, when that is empty). */
  async interrupt(callId: string): Promise<void> {
    const { running } = this.#life;
    if (!running || (callId !== "" && running.callId !== callId)) return;
    await running.sandbox?.interrupt();
  }

  /** Ends the trajectory: the running step is interrupted and journalled, a grade in the making becomes CANCELLED, then everything is removed. The first ending counts. */
  end(ending: Ending, reason?: string): Promise<Summary> {
    this.#end ??= this.#finish(ending, reason);
    return this.#end;
  }

  renew(leaseMs = 0): void {
    if (leaseMs > 0) this.leaseMs = leaseMs;
    this.leaseEnds = performance.now() + this.leaseMs;
  }

  /** Renews while somebody waits for an answer; true when the lease has run out. */
  expired(now: number): boolean {
    if (this.#attached > 0) this.renew();
    return now > this.leaseEnds;
  }

  get hasSandbox(): boolean {
    return this.#life.sandbox !== undefined;
  }

  get wallSpent(): boolean {
    return this.#life.meter.left().wallMs === 0;
  }

  summary(full = true): Summary {
    const leaseMsLeft = this.leaseEnds - performance.now();
    return summarise(this.#life, { state: this.state, leaseMsLeft, full, path: this.#journal.path });
  }

  /** Carries on with what the ledger shows as begun and not answered. Called once, after a restart of the server. */
  resume(): void {
    for (const { intent } of openIntents(this.#life.ledger)) {
      if (intent.type === "grading") {
        if (intent.final)
          this.#resumeOne({ key: FINAL, digest: "" }, () => finalize(this.#life, { submitted: intent.submitted }));
      } else if (!intent.key.startsWith("t")) this.#resumeStep(intent);
    }
  }

  #resumeStep(intent: StepIntent | TurnIntent): void {
    const { key, callId, digest } = intent;
    const arrivedAt = performance.now();
    const output = new LiveOutput();
    this.#resumeOne<unknown>({ key, digest, output }, () =>
      intent.type === "step"
        ? runStep(this.#life, { ...intent, arrivedAt, output })
        : runTurn(this.#life, { key, callId, calls: intent.calls, arrivedAt }),
    );
  }

  #resumeOne<T>(about: Tracked, work: () => Promise<T>): void {
    this.#launch(about, () => this.#guarded(work)).catch(() => undefined); // the client's retry, or the ended line, tells
  }

  /** The live output of a call that waits or runs; undefined once its result is there. */
  async liveOutput(callId: string, result: Promise<unknown>): Promise<LiveOutput | undefined> {
    let over = false;
    const done = result.then(
      () => (over = true),
      () => (over = true),
    );
    for (;;) {
      const found = this.#inFlight.get(`c:${callId}`)?.output;
      if (found || over) return found;
      await Promise.race([done, this.#bell.next(60_000)]);
    }
  }

  /** The kept output of an answered step, from the journal. */
  storedOutput(callId: string): OutputChunk[] {
    const answer = this.#life.ledger.entries.get(`c:${callId}`)?.answer;
    const line = answer && this.#journal.read(answer);
    return line?.type === "result" ? restoreChunks(line.output) : [];
  }

  ahead(): number {
    return Math.max(0, this.#queue.length - 1);
  }

  close(): void {
    this.#journal.close();
  }

  /** Finds, attaches to, or begins the work of a call id; waits for it as long as the client does. */
  async #carryOut<T>(
    waiting: Waiting,
    about: { key: string; digest: string; callId: string; fence?: Fence; output?: LiveOutput },
    prepare: () => () => Promise<T>,
  ): Promise<T> {
    return this.#attach(async () => {
      const { key, fence } = about;
      const until = Math.min(performance.now() + 60_000, waiting.deadline - 100);
      for (;;) {
        const running = this.#known<T>(about);
        if (running) return waitFor(running, waiting);
        this.#refuseEnded();
        const known = this.#life.ledger.entries.has(key);
        if (known || !fence || this.#inOrder(fence)) {
          const work = prepare();
          return waitFor(
            this.#launch(about, () => this.#guarded(work)),
            waiting,
          );
        }
        const rung = await this.#bell.next(until - performance.now(), waiting.signal);
        waiting.signal.throwIfAborted();
        if (!rung) throw outOfOrder(fence);
      }
    });
  }

  /** Like #carryOut, outside of the queue. */
  #shared<T>(
    waiting: Waiting,
    about: { key: string; digest: string; callId: string },
    work: () => Promise<T>,
  ): Promise<T> {
    return this.#attach(() => {
      const running = this.#known<T>(about) ?? this.#track(about, work());
      return waitFor(running, waiting);
    });
  }

  async #attach<T>(wait: () => Promise<T>): Promise<T> {
    this.renew();
    this.#attached += 1;
    try {
      return await wait();
    } finally {
      this.#attached -= 1;
      this.renew();
    }
  }

  #known<T>({ key, digest, callId }: { key: string; digest: string; callId: string }): Promise<T> | undefined {
    const running = this.#inFlight.get(key);
    const found = running?.digest ?? this.#life.ledger.entries.get(key)?.digest;
    if (found !== undefined && found !== digest)
      throw new SandlotError(
        "invalid",
        `call_id "${callId}" was used before with other arguments; a repeated call must repeat them`,
        {
          field: "call_id",
          trajectoryId: this.id,
        },
      );
    return running?.work as Promise<T> | undefined; // one key, one kind of work
  }

  #inOrder(fence: Fence): boolean {
    const { final, created } = this.#life.ledger;
    if (fence.at === 0 || final || (this.#queue.length === 0 && spent(this.#life.meter.left(), created.limits)))
      return true;
    const next = fence.next();
    if (fence.at < next) throw outOfOrder(fence);
    return fence.at === next;
  }

  #launch<T>(about: Tracked, work: () => Promise<T>): Promise<T> {
    return this.#track(about, this.#queue.run(work));
  }

  #track<T>({ key, digest, output }: Tracked, work: Promise<T>): Promise<T> {
    this.#inFlight.set(key, { digest, work, ...(output ? { output } : {}) });
    const settled = (): void => {
      this.#inFlight.delete(key);
      this.#bell.ring();
    };
    work.then(settled, settled);
    this.#bell.ring();
    return work;
  }

  /** What waits when the trajectory ends is not begun; infrastructure that fails ends the trajectory. */
  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    if (this.#end) this.#refuseEnded();
    try {
      return await work();
    } catch (error) {
      if (isFault(error, "sandbox")) void this.end("INFRA", error.message);
      throw error;
    }
  }

  #refuseEnded(): void {
    if (!this.#end && this.state !== "ENDED") return;
    const summary = this.summary(false);
    throw new SandlotError("ended", `trajectory ${this.id} is over: ${summary.ending ?? "being released"}`, {
      trajectoryId: this.id,
      summary,
    });
  }

  async #finish(ending: Ending, reason: string | undefined): Promise<Summary> {
    await Promise.resolve(); // so that #end is set before anything below runs
    this.#abort.abort(new SandlotError("ended", `trajectory ${this.id} was ended`, { trajectoryId: this.id }));
    await this.interrupt("").catch(() => undefined); // dispose ends it in any case
    if (!(await settled(this.#queue.idle(), 10_000))) await settled(this.#life.giveBackSandbox(), 10_000);
    const { ledger, meter } = this.#life;
    const { final } = ledger;
    this.#write({
      type: "ended",
      at: Date.now(),
      ending: this.#endingOf(ending),
      ...(reason ? { reason } : {}),
      lastStep: ledger.lastStep,
      turns: ledger.turns,
      wallUsedMs: meter.wallUsedMs(),
      ...(final ? { grade: withSubmitted(final) } : {}),
    });
    const summary = this.summary();
    await this.#life.giveBackSandbox();
    this.#bell.ring();
    this.#over(this, summary);
    return summary;
  }

  #endingOf(asked: Ending): Ending {
    const { final, broken } = this.#life.ledger;
    if (final && final.grade.validity !== "CANCELLED") return "SUBMITTED";
    return broken && asked !== "INFRA" ? "POLICY_BROKE_SANDBOX" : asked;
  }

  #write(line: Line): Position {
    this.#refuseAfterEnd();
    const position = this.#journal.append(line);
    post(this.#life.ledger, line, position);
    return position;
  }

  #refuseAfterEnd(): void {
    if (this.#life.ledger.ended) this.#refuseEnded();
  }
}

interface Tracked {
  readonly key: string;
  readonly digest: string;
  readonly output?: LiveOutput;
}

interface Fence {
  /** 0 = none. */
  readonly at: number;
  readonly next: () => number;
  readonly what: string;
}

/** True when the work is done in time. */
async function settled(work: Promise<unknown>, withinMs: number): Promise<boolean> {
  const late = Promise.withResolvers<false>();
  const timer = setTimeout(() => late.resolve(false), withinMs);
  try {
    return await Promise.race([work.then(() => true), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function outOfOrder({ at, next, what }: Fence): SandlotError {
  return new SandlotError("out_of_order", `${what} must be ${next()} (the next one) or 0 (any), got ${at}`, {
    field: what,
  });
}

function withSubmitted({ grade, submitted }: GradeOutcome): Grade & { readonly submitted: boolean } {
  return { ...grade, submitted };
}
