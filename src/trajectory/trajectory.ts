import { isFault, SandlotError } from "../errors.ts";
import type { Cost, OutputChunk, Sandbox } from "../sandbox/sandbox.ts";
import type { Task } from "../tasks/task.ts";
import type { OutputCaps } from "../tools/tool.ts";
import { Meter, spent } from "./budget.ts";
import { Calls, type Fence } from "./calls.ts";
import { draining } from "./draining.ts";
import { FINAL, finalize, lookNow } from "./final-grade.ts";
import { Harness } from "./harness.ts";
import type { Journal, Position } from "./journal.ts";
import { type Ledger, openIntents, post } from "./ledger.ts";
import type { Judge, Life } from "./life.ts";
import { type GradeOutcome, type Line, restoreChunks, type StepIntent, type TurnIntent } from "./lines.ts";
import { LiveOutput } from "./live-output.ts";
import type {
  Ending,
  ExecuteCall,
  State,
  StepCall,
  StepResult,
  Summary,
  TrajectoryGrade,
  TurnResult,
  Waiting,
} from "./rollouts.ts";
import { runStep, stepDigest } from "./step.ts";
import { slimGrade, summarise } from "./summary.ts";
import { asked, runTurn, turnDigest } from "./turn.ts";
import { GONE_MS, settled } from "./waiting.ts";

export interface TrajectoryParts {
  readonly ledger: Ledger;
  readonly journal: Journal;
  readonly sandbox: Sandbox | undefined;
  readonly task: Task | undefined;
  readonly judge: Judge;
  readonly caps: OutputCaps;
  /** Called once when the sandbox is gone: frees slot and environment. */
  readonly freed: () => void;
  /** Told when the sandbox could not be removed. */
  readonly failed: (error: unknown) => void;
  /** Called once when it is over and nothing of it is left. */
  readonly over: (trajectory: Trajectory, summary: Summary) => void;
}

/** What runs gets so long to come to its end when the trajectory is ended. */
const LAST_WORDS_MS = 10_000;

/** A live trajectory: one serial queue over one sandbox. Every public call may be repeated; the end of a call's waiting never ends its work. */
export class Trajectory {
  readonly id: string;
  /** What a harness may do beside the steps. */
  readonly harness: Harness;
  readonly #life: Life;
  readonly #journal: Journal;
  readonly #over: TrajectoryParts["over"];
  readonly #abort = new AbortController();
  readonly #calls: Calls;
  #leaseMs: number;
  #leaseEnds: number;
  /** Joined the queue and have no number yet. */
  #queuedSteps = 0;
  #queuedTurns = 0;
  #end: Promise<Summary> | undefined;
  /** Set once the sandbox is given back. */
  #gone: Promise<void> | undefined;
  /** Of the sandbox that was given back. */
  #cost: Cost | undefined;
  #left = false;

  constructor({ ledger, journal, sandbox, task, judge, caps, freed, failed, over }: TrajectoryParts) {
    this.id = ledger.created.id;
    this.#leaseMs = ledger.created.leaseMs;
    this.#leaseEnds = performance.now() + this.#leaseMs;
    this.#journal = journal;
    this.#over = over;
    const remove = (last: Sandbox | undefined): Promise<void> => {
      this.#cost ??= last?.cost?.();
      this.#gone ??= (last?.dispose() ?? Promise.resolve()).catch(failed).then(freed); // the next start finds what is left
      return this.#gone;
    };
    this.#life = {
      ledger,
      meter: new Meter(ledger),
      task,
      judge,
      caps,
      ending: this.#abort.signal,
      sandbox,
      running: undefined,
      write: (line) => this.#write(line),
      read: (position) => journal.read(position),
      giveBackSandbox() {
        const { sandbox: last } = this;
        this.sandbox = undefined;
        return remove(last);
      },
    };
    this.#calls = new Calls({
      digestOf: (key) => ledger.entries.get(key)?.digest,
      refuseEnded: () => this.#refuseEnded(),
      failed: (error) => this.#failed(error),
    });
    this.harness = new Harness({
      life: this.#life,
      calls: this.#calls,
      refuseInactive: () => this.#refuseInactive(),
      failed: (error) => this.#failed(error),
    });
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

  get hasSandbox(): boolean {
    return this.#life.sandbox !== undefined;
  }

  get wallSpent(): boolean {
    return this.#life.meter.left().wallMs === 0;
  }

  get leaseUntil(): Date {
    return new Date(Date.now() + this.#leaseEnds - performance.now());
  }

  /** Calls before the one that joined last. */
  get ahead(): number {
    return Math.max(0, this.#calls.length - 1);
  }

  /** Resolves when all that is queued or runs now is done, and a sandbox that is being removed is gone. */
  async idle(): Promise<void> {
    await Promise.all([this.#calls.idle(), this.harness.idle()]);
    await this.#gone;
  }

  async execute(call: ExecuteCall, waiting: Waiting): Promise<StepResult> {
    const { callId, tool, argumentsJson, timeoutMs } = call;
    const key = `c:${callId}`;
    const output = new LiveOutput();
    const work = { key, callId, tool, argumentsJson, timeoutMs, arrivedAt: performance.now(), output };
    const next = (): number => this.#life.ledger.lastStep + this.#queuedSteps + 1;
    const about = {
      key,
      digest: stepDigest(work),
      callId,
      // The output of an answered step is in the journal.
      ...(this.#life.ledger.entries.get(key)?.answer ? {} : { output }),
      ...this.#fence({ at: call.step, next, what: "step" }),
    };
    this.renew();
    return this.#calls.carryOut(waiting, about, () => {
      this.#queuedSteps += 1;
      return () => {
        this.#queuedSteps -= 1;
        return runStep(this.#life, work);
      };
    });
  }

  async step({ callId, turn, action }: StepCall, waiting: Waiting): Promise<TurnResult> {
    const key = `c:${callId}`;
    const digest = turnDigest(action);
    const work = { key, callId, digest, asked: asked(action, this.ledger.created.tools), arrivedAt: performance.now() };
    const { calls } = work.asked;
    const next = (): number => this.#life.ledger.turns + this.#queuedTurns + 1;
    const about = { key, digest, callId, ...this.#fence({ at: turn, next, what: "turn" }) };
    this.renew();
    return this.#calls.carryOut(waiting, about, () => {
      this.#queuedTurns += 1;
      this.#queuedSteps += calls.length;
      return () => {
        this.#queuedTurns -= 1;
        this.#queuedSteps -= calls.length;
        return runTurn(this.#life, work);
      };
    });
  }

  /** The final grade, or (without `final`) a judgement on the work tree as it stands between two steps. */
  async grade(final: boolean, callId: string, waiting: Waiting): Promise<TrajectoryGrade> {
    const { ledger, meter } = this.#life;
    this.renew();
    if (ledger.final) return withSubmitted(ledger.final);
    if (final || this.state === "GRADING") {
      const submitted = spent(meter.left(), ledger.created.limits) === undefined;
      const about = { key: FINAL, digest: "", callId };
      return withSubmitted(await this.#calls.carryOut(waiting, about, () => () => finalize(this.#life, { submitted })));
    }
    const key = `g:${callId || crypto.randomUUID()}`;
    const look = { key, digest: "", callId };
    const { judged } = await this.#calls.carryOut(waiting, look, () => () => lookNow(this.#life, key));
    return withSubmitted(await this.#calls.besides(waiting, { ...look, key: `${key}:judged` }, judged));
  }

  /** Ends the running command if it belongs to the call id (or the running step, when that is empty). */
  async interrupt(callId: string): Promise<void> {
    const { running } = this.#life;
    await this.harness.interrupt(callId);
    if (!running || (callId !== "" && running.callId !== callId)) return;
    await running.sandbox?.interrupt();
  }

  /** Ends the trajectory: the running step is interrupted and journalled, a grade in the making becomes CANCELLED, then everything is removed. The first ending counts. */
  end(ending: Ending, reason?: string): Promise<Summary> {
    this.#end ??= this.#finish(ending, reason).catch((error: unknown) => {
      this.#end = undefined; // a full disk, for one: to be tried again
      throw error;
    });
    return this.#end;
  }

  /** 0 = the length it has. */
  renew(leaseMs = 0): void {
    if (leaseMs > 0) this.#leaseMs = leaseMs;
    this.#leaseEnds = performance.now() + this.#leaseMs;
  }

  /** True when the lease has run out. Renews it while somebody waits for an answer. */
  expired(now: number): boolean {
    if (this.#calls.attached > 0) this.renew();
    return now > this.#leaseEnds;
  }

  /** `full` adds prompt and tools. */
  summary(full = true): Summary {
    const { state, leaseUntil } = this;
    return summarise(this.#life, { state, leaseUntil, full, path: this.#journal.path });
  }

  /** The live output of a call that waits or runs; undefined once its result is there. */
  liveOutput(callId: string, result: Promise<unknown>): Promise<LiveOutput | undefined> {
    return this.#calls.outputOf(`c:${callId}`, result);
  }

  /** The kept output of an answered step, from the journal. */
  storedOutput(callId: string): OutputChunk[] {
    const answer = this.#life.ledger.entries.get(`c:${callId}`)?.answer;
    const line = answer && this.#journal.read(answer);
    return line?.type === "result" ? restoreChunks(line.output) : [];
  }

  /** Carries on with what the ledger shows as begun and not answered. Called once, after a restart of the server. */
  resume(): void {
    for (const { intent, digest } of openIntents(this.#life.ledger)) {
      if (intent.type === "exec" || intent.type === "write") continue; // its harness calls again
      const work =
        intent.type === "grading" ? this.#resumedGrade(intent.final, intent.submitted) : this.#resumed(intent);
      // Whoever retries the call, or the ended line, tells what became of it.
      if (work) this.#calls.launch({ key: intent.key, digest, ...work }, work.run).catch(() => undefined);
    }
  }

  /** The server stops: from now on nothing is journalled and nothing ends it, so that the next server finds it as it is and carries on with what was begun. */
  leave(): void {
    this.#left = true;
  }

  close(): void {
    this.#journal.close();
  }

  #resumed(intent: StepIntent | TurnIntent): { run: () => Promise<unknown>; output?: LiveOutput } | undefined {
    const { key, callId } = intent;
    const arrivedAt = performance.now();
    if (intent.type === "turn")
      return { run: () => runTurn(this.#life, { key, callId, digest: intent.digest, asked: intent, arrivedAt }) };
    if (!key.startsWith("c:")) return undefined; // its turn runs it
    const output = new LiveOutput();
    return { output, run: () => runStep(this.#life, { ...intent, arrivedAt, output }) };
  }

  /** A look is made again when its client asks again. */
  #resumedGrade(final: boolean, submitted: boolean): { run: () => Promise<unknown> } | undefined {
    return final ? { run: () => finalize(this.#life, { submitted }) } : undefined;
  }

  /** No fence where the order does not matter any more: after the task's end, and past the budget. */
  #fence(fence: Fence): { fence?: Fence } {
    const { final, created } = this.#life.ledger;
    const over = final || (this.#calls.length === 0 && spent(this.#life.meter.left(), created.limits) !== undefined);
    return over ? {} : { fence };
  }

  /** Infrastructure that fails ends the trajectory. */
  #failed(error: unknown): void {
    if (isFault(error, "sandbox") && !this.#left) void this.end("INFRA", error.message).catch(() => undefined); // the caller has the first error
  }

  #refuseEnded(): void {
    if (!this.#end && this.state !== "ENDED") return;
    const message = `trajectory ${this.id} is over: ${this.#life.ledger.ended?.ending ?? "being released"}`;
    throw new SandlotError("ended", message, { trajectoryId: this.id });
  }

  /** After the submission began, what a harness does would be seen by nobody. */
  #refuseInactive(): void {
    this.#refuseEnded();
    if (this.state === "ACTIVE") return;
    const message = `trajectory ${this.id} was submitted: its sandbox takes no more calls`;
    throw new SandlotError("ended", message, { trajectoryId: this.id });
  }

  async #finish(ending: Ending, reason: string | undefined): Promise<Summary> {
    await Promise.resolve(); // #end is set before anything below runs
    this.#abort.abort(new SandlotError("ended", `trajectory ${this.id} was ended`, { trajectoryId: this.id }));
    const told = [this.interrupt(""), this.harness.interruptAll()];
    await Promise.all(told).catch(() => undefined); // what does not listen goes with the sandbox
    if (!(await settled(this.idle(), LAST_WORDS_MS))) await settled(this.#life.giveBackSandbox(), LAST_WORDS_MS);
    const { ledger, meter, sandbox } = this.#life;
    const cost = this.#cost ?? sandbox?.cost?.();
    this.#write({
      type: "ended",
      at: Date.now(),
      ending: this.#endingOf(ending),
      ...(reason ? { reason } : {}),
      lastStep: ledger.lastStep,
      turns: ledger.turns,
      ...(ledger.harnessCalls > 0 ? { harnessCalls: ledger.harnessCalls } : {}),
      wallUsedMs: meter.wallUsedMs(),
      ...(cost ? { cost } : {}),
      ...(ledger.final ? { grade: slimGrade(withSubmitted(ledger.final)) } : {}),
    });
    const summary = this.summary();
    const gone = this.#life.giveBackSandbox().then(() => this.#over(this, summary));
    await settled(gone, GONE_MS);
    return summary;
  }

  #endingOf(asked: Ending): Ending {
    const { final, broken } = this.#life.ledger;
    if (final && final.grade.validity !== "CANCELLED") return "SUBMITTED";
    return broken && asked !== "INFRA" ? "POLICY_BROKE_SANDBOX" : asked;
  }

  #write(line: Line): Position {
    if (this.#left) throw draining();
    if (this.#life.ledger.ended) this.#refuseEnded();
    const position = this.#journal.append(line);
    post(this.#life.ledger, line, position);
    return position;
  }
}

export function withSubmitted({ grade, submitted }: GradeOutcome): TrajectoryGrade {
  return { ...grade, submitted };
}
