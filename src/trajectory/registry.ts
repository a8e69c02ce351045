import { SandlotError } from "../errors.ts";
import type { Grade } from "../grading/grade.ts";
import type { Task } from "../tasks/task.ts";
import { schemasOf } from "../tools/table.ts";
import { type BirthParts, Births } from "./birth.ts";
import { attemptDigest, Creations, refuseAbove } from "./creation.ts";
import { draining } from "./draining.ts";
import type { ExecCall, ExecOutcome, FilePiece, ReadCall, WriteCall, WriteOutcome } from "./harness-calls.ts";
import { carries, page } from "./listing.ts";
import type { PatchGrades } from "./patch-grades.ts";
import { unplayableReason } from "./playing.ts";
import { Population } from "./population.ts";
import { prepareAll } from "./preparation.ts";
import type {
  CreateCall,
  ExecuteCall,
  PrepareProgress,
  Rollouts,
  StepCall,
  StepResult,
  StreamEvent,
  Summary,
  TrajectoryGrade,
  TurnResult,
  Waiting,
} from "./rollouts.ts";
import type { Store } from "./store.ts";
import { streamExec, streamStep } from "./stream.ts";
import { type Trajectory, withSubmitted } from "./trajectory.ts";

export interface RegistryParts extends BirthParts {
  readonly store: Store;
  readonly patchGrades: PatchGrades;
  readonly recordDays: number;
  /** Bare sandboxes and calls of a harness are taken. */
  readonly harness: boolean;
}

/** The trajectory layer as the server sees it. */
export class Registry implements Rollouts {
  readonly population = new Population();
  readonly #parts: RegistryParts;
  readonly #births: Births;
  readonly #creations = new Creations();
  #draining = false;

  constructor(parts: RegistryParts) {
    this.#parts = parts;
    this.#births = new Births(parts, (trajectory, summary) => this.bury(trajectory, summary));
  }

  info(): ReturnType<Rollouts["info"]> {
    const { instance, backend, defaults, leaseMs, slots, gradingSlots, harness } = this.#parts;
    return {
      instance,
      harness,
      backend: backend.name,
      isolated: backend.capabilities.isolation,
      backends: [["default", backend] as const, ...(backend.named ?? [])].map(([name, one]) => ({
        ...{ name, type: one.name },
        ...{ isolated: one.capabilities.isolation, images: one.capabilities.images },
        ...{ enforced: one.enforced, lacks: one.lacks },
      })),
      defaultLimits: defaults,
      enforced: backend.enforced,
      pools: slots.stats(),
      grading: gradingSlots.stats()["default"] ?? { slots: 0, used: 0, queued: 0 },
      draining: this.#draining,
      leaseMs,
    };
  }

  tasks(): readonly Task[] {
    return this.#parts.catalog.list();
  }

  task(id: string): Task {
    return this.#parts.catalog.get(id);
  }

  async unplayable(task: Task): Promise<string> {
    return unplayableReason(this.#parts, task);
  }

  toolSchemas(task: Task): ReturnType<Rollouts["toolSchemas"]> {
    return schemasOf(task.agent.tools);
  }

  prepare(taskIds: readonly string[], { signal }: Waiting): AsyncIterable<PrepareProgress> {
    const tasks = taskIds.map((id) => this.task(id));
    return prepareAll(this.#parts, tasks, signal);
  }

  async create(call: CreateCall, waiting: Waiting): Promise<Summary> {
    const known = this.population.ofAttempt(call);
    if (known) return known;
    this.#refuseDraining();
    if (call.bare) this.#refuseHarness();
    const order = this.#births.order(call);
    return this.#creations.join(call, waiting, async (signal) => {
      const trajectory = await this.#births.bear(order, signal);
      this.population.add(trajectory);
      return trajectory.summary();
    });
  }

  execute(call: ExecuteCall, waiting: Waiting): Promise<StepResult> {
    return this.#played(call.trajectoryId).execute(call, waiting);
  }

  executeStream(call: ExecuteCall & { readonly fromOffset: number }, waiting: Waiting): AsyncIterable<StreamEvent> {
    return streamStep(this.#played(call.trajectoryId), call, waiting);
  }

  step(call: StepCall, waiting: Waiting): Promise<TurnResult> {
    return this.#played(call.trajectoryId).step(call, waiting);
  }

  exec(call: ExecCall & { readonly fromOffset: number }, waiting: Waiting): AsyncIterable<StreamEvent<ExecOutcome>> {
    const asked = { field: "timeout_ms", value: call.timeoutMs, knob: "limits.most.command_ms" };
    refuseAbove(this.#parts.most.commandMs, asked);
    return streamExec(this.#touched(call.trajectoryId), call, waiting);
  }

  readFile(call: ReadCall, waiting: Waiting): AsyncIterable<FilePiece> {
    return this.#touched(call.trajectoryId).harness.readFile(call, waiting);
  }

  writeFile(call: WriteCall, waiting: Waiting): Promise<WriteOutcome> {
    return this.#touched(call.trajectoryId).harness.writeFile(call, waiting);
  }

  async interrupt(trajectoryId: string, callId: string): Promise<Summary> {
    const trajectory = this.population.live(trajectoryId);
    await trajectory.interrupt(callId);
    return trajectory.summary(false);
  }

  async gradeTrajectory(
    {
      trajectoryId,
      finalize,
      callId,
    }: { readonly trajectoryId: string; readonly finalize: boolean; readonly callId: string },
    waiting: Waiting,
  ): Promise<TrajectoryGrade> {
    const live = this.population.find(trajectoryId);
    if (live) return this.#played(trajectoryId).grade(finalize, callId, waiting);
    const { grade } = this.#whole(this.population.summary(trajectoryId));
    if (grade) return grade;
    this.population.live(trajectoryId); // throws `ended`
    throw new Error("an ended trajectory was found alive");
  }

  async gradePatch(
    call: { readonly taskId: string; readonly patch: Uint8Array; readonly gradeMs: number; readonly callId: string },
    waiting: Waiting,
  ): Promise<Grade> {
    const task = this.task(call.taskId);
    const asked = { field: "submission.grade_ms", value: call.gradeMs, knob: "limits.most.grade_ms" };
    refuseAbove(this.#parts.most.gradeMs, asked);
    this.#refuseDraining();
    return this.#parts.patchGrades.grade(task, call, waiting);
  }

  async release(call: Parameters<Rollouts["release"]>[0]): ReturnType<Rollouts["release"]> {
    const { trajectoryIds, attemptIds, labels } = call;
    const cancelledCreates = this.#creations.cancel(
      (waiting) => attemptIds.includes(waiting.attemptId) || carries(waiting.labels, labels),
    );
    const byLabel = [...this.population.alive.map((one) => one.summary(false)), ...this.population.past]
      .filter((summary) => carries(summary.labels, labels))
      .map(({ id }) => id);
    const byAttempt = attemptIds.flatMap((attempt) => this.population.idOfAttempt(attempt) ?? []);
    const wanted = [...new Set([...trajectoryIds, ...byAttempt, ...byLabel])];
    const settled = await Promise.all(wanted.map((id) => this.#endById(id)));
    const ended = settled.filter((summary) => summary !== undefined);
    const known = new Set(ended.map(({ id }) => id));
    return { ended, unknown: trajectoryIds.filter((id) => !known.has(id)), cancelledCreates };
  }

  async heartbeat(ids: readonly string[], leaseMs: number): ReturnType<Rollouts["heartbeat"]> {
    const found = ids.flatMap((id) => this.population.find(id) ?? []).filter((one) => one.state !== "ENDED");
    for (const trajectory of found) trajectory.renew(leaseMs);
    const alive = found.map((one) => ({ id: one.id, leaseUntil: one.leaseUntil, state: one.state }));
    const here = new Set(alive.map(({ id }) => id));
    return { alive, gone: ids.filter((id) => !here.has(id)) };
  }

  async get(id: string): Promise<Summary> {
    this.population.find(id)?.renew();
    return this.#whole(this.population.summary(id));
  }

  async list(call: Parameters<Rollouts["list"]>[0]): ReturnType<Rollouts["list"]> {
    return page([...this.population.alive.map((one) => one.summary(false)), ...this.population.past], call);
  }

  async *record(id: string): AsyncIterable<unknown> {
    this.population.summary(id); // fault not_found
    yield* this.#parts.store.lines(id);
  }

  /** Ends what nobody has asked for in its lease, and forgets old records. */
  sweep(now: number): void {
    for (const trajectory of this.population.alive) {
      if (!trajectory.expired(now)) continue;
      void trajectory.end(trajectory.wallSpent ? "BUDGET" : "LEASE", "the lease ran out").catch(this.#parts.failed);
    }
    const oldest = Date.now() - this.#parts.recordDays * 86_400_000;
    for (const { id, createdAt } of this.population.past) {
      if (createdAt.getTime() >= oldest) continue;
      this.population.forget(id);
      this.#parts.store.remove(id);
    }
  }

  /** From now on nothing new is begun. */
  drain(): void {
    this.#draining = true;
    this.#creations.cancel(() => true, draining);
  }

  /** From now on nothing is journalled: what still runs belongs to the next server. */
  leave(): void {
    for (const trajectory of this.population.alive) trajectory.leave();
  }

  /** Resolves when no step runs and no Create is under way. */
  async idle(): Promise<void> {
    await this.#creations.settled();
    await Promise.all(this.population.alive.map((trajectory) => trajectory.idle()));
  }

  async #endById(id: string): Promise<Summary | undefined> {
    const live = this.population.find(id);
    if (live) return live.end("RELEASED");
    return this.population.past.find((summary) => summary.id === id);
  }

  /** From now on it is past. */
  bury(trajectory: Trajectory, summary: Summary): void {
    this.population.bury(summary, attemptDigest(trajectory.ledger.created.call));
    trajectory.close();
  }

  /** With the whole grade, which is in the journal when the trajectory is over. */
  #whole(summary: Summary): Summary {
    if (summary.state !== "ENDED" || !summary.grade) return summary;
    const final = this.#parts.store.lines(summary.id).findLast((line) => line.type === "grade" && line.final);
    return final?.type === "grade" ? { ...summary, grade: withSubmitted(final) } : summary;
  }

  #working(id: string): Trajectory {
    const trajectory = this.population.live(id);
    this.#refuseDraining();
    return trajectory;
  }

  /** One that a policy plays. */
  #played(id: string): Trajectory {
    const trajectory = this.#working(id);
    if (!trajectory.ledger.created.call.bare) return trajectory;
    const message = `${id} is a bare sandbox: it has no steps and no grade, only the calls of SandboxService`;
    throw new SandlotError("unsupported", message, { field: "trajectory_id" });
  }

  /** One whose sandbox a harness calls: that counts as hearing of it. */
  #touched(id: string): Trajectory {
    this.#refuseHarness();
    const trajectory = this.#working(id);
    trajectory.renew();
    return trajectory;
  }

  #refuseHarness(): void {
    if (this.#parts.harness) return;
    const knob = "sandbox_service.enabled";
    throw new SandlotError("unsupported", `this server offers no SandboxService (${knob})`, { knob });
  }

  #refuseDraining(): void {
    if (this.#draining) throw draining();
  }
}
