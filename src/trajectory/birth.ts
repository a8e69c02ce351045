import type { Admission, Lease } from "../admission/admission.ts";
import type { Environment } from "../environments/environment.ts";
import type { Environments } from "../environments/prepare.ts";
import { bareImage } from "../environments/wanted.ts";
import { SandlotError } from "../errors.ts";
import type { Backend, Sandbox } from "../sandbox/sandbox.ts";
import { backendOf } from "../sandbox/several.ts";
import type { WarmPool } from "../sandbox/warm.ts";
import type { Catalog } from "../tasks/catalog.ts";
import { refuseUnmet } from "../tasks/needs.ts";
import type { Task } from "../tasks/task.ts";
import { expectBash } from "../tools/bash.ts";
import { schemasOf } from "../tools/table.ts";
import type { OutputCaps } from "../tools/tool.ts";
import { attemptDigest, effectiveLimits, newSandboxId, specFor } from "./creation.ts";
import { openLedger, post } from "./ledger.ts";
import type { Judge } from "./life.ts";
import type { Created } from "./lines.ts";
import { prepareTask } from "./playing.ts";
import type { CreateCall, TrajectoryLimits } from "./rollouts.ts";
import type { Store } from "./store.ts";
import { Trajectory, type TrajectoryParts } from "./trajectory.ts";

export interface BirthParts {
  readonly instance: string;
  readonly backend: Backend;
  readonly warm: WarmPool;
  readonly environments: Environments;
  readonly catalog: Catalog;
  readonly slots: Admission;
  readonly gradingSlots: Admission;
  readonly judge: Judge;
  readonly caps: OutputCaps;
  readonly store: Store;
  readonly defaults: TrajectoryLimits;
  readonly least: TrajectoryLimits;
  readonly most: TrajectoryLimits;
  readonly leaseMs: number;
  /** Told of failures that no caller waits for. */
  readonly failed: (error: unknown) => void;
}

/** A Create that was looked at and found good. */
export interface Order {
  readonly call: CreateCall;
  /** Undefined for a bare sandbox from an image. */
  readonly task: Task | undefined;
  readonly limits: TrajectoryLimits;
  readonly leaseMs: number;
  readonly tools: readonly string[];
}

/** Makes trajectories: slot, environment, sandbox, journal, in this order; what fails midway leaves nothing. */
export class Births {
  readonly #parts: BirthParts;
  readonly #over: TrajectoryParts["over"];

  constructor(parts: BirthParts, over: TrajectoryParts["over"]) {
    this.#parts = parts;
    this.#over = over;
  }

  /** Faults `not_found` (task), `unsupported` and `invalid` before anything waits. */
  order(call: CreateCall): Order {
    const { catalog, backend, defaults, least, most, leaseMs } = this.#parts;
    const task = call.bare?.image ? undefined : catalog.get(call.taskId);
    if (task) refuseUnmet(task, backendOf(backend, task.environment.backend));
    else if (!backend.capabilities.images) throw noImages(backend.name);
    const tools = call.bare || !task ? [] : call.tools.length > 0 ? call.tools : task.agent.tools;
    schemasOf(tools);
    const gradeMs = task ? Math.min(task.grader.timeoutMs, most.gradeMs) : defaults.gradeMs;
    const limits = effectiveLimits(call.limits, { defaults: { ...defaults, gradeMs }, least, most });
    return { call, task, limits, leaseMs: call.leaseMs || leaseMs, tools };
  }

  async bear(order: Order, signal: AbortSignal): Promise<Trajectory> {
    const { slots } = this.#parts;
    const { attemptId, pool, group, labels } = order.call;
    const arrived = performance.now();
    const owner = labels["run_id"] ?? "";
    const lease = await slots.acquire({ pool, ...(group ? { group } : {}), key: attemptId, owner, signal });
    try {
      return await this.#prepared(order, lease, { arrived, admitted: performance.now() }, signal);
    } catch (error) {
      lease.release();
      throw error;
    }
  }

  /** Takes hold of a trajectory whose journal and sandbox an earlier server left. */
  readopt(parts: Omit<TrajectoryParts, "judge" | "caps" | "freed" | "failed" | "over">): Trajectory {
    const { slots, environments, judge, caps, failed } = this.#parts;
    const { environment, call } = parts.ledger.created;
    const lease = parts.sandbox ? slots.adopt({ pool: call.pool, key: call.attemptId }) : undefined;
    environments.acquire(environment.key);
    const freed = (): void => {
      lease?.release();
      environments.release(environment.key);
    };
    return new Trajectory({ ...parts, judge, caps, freed, failed, over: this.#over });
  }

  async #prepared(
    order: Order,
    lease: Lease,
    times: { arrived: number; admitted: number },
    signal: AbortSignal,
  ): Promise<Trajectory> {
    const { environments } = this.#parts;
    const { task, call } = order;
    const environment = task
      ? await prepareTask(this.#parts, task, { signal })
      : await environments.prepare(bareImage(call.bare?.image ?? ""), { signal });
    environments.acquire(environment.key);
    const freed = (): void => {
      lease.release();
      environments.release(environment.key);
    };
    try {
      const prepared = performance.now();
      const sandbox = await this.#sandbox(order, environment, signal);
      return await this.#begin(order, environment, sandbox, { ...times, prepared, freed });
    } catch (error) {
      environments.release(environment.key);
      throw error;
    }
  }

  #sandbox({ call, limits }: Order, environment: Environment, signal: AbortSignal): Promise<Sandbox> {
    const { warm, instance, caps } = this.#parts;
    // Shows in the time of the first command only: what is wrong with a sandbox, that command says.
    const expect = (sandbox: Sandbox): void => void expectBash(sandbox, caps).catch(() => undefined);
    return warm.obtain(specFor(environment, newSandboxId(instance), limits), signal, call.bare ? undefined : expect);
  }

  async #begin(
    { call, task, limits, leaseMs, tools }: Order,
    environment: Environment,
    sandbox: Sandbox,
    times: { arrived: number; admitted: number; prepared: number; freed: () => void },
  ): Promise<Trajectory> {
    const { store, judge, caps, backend, warm, failed } = this.#parts;
    const now = performance.now();
    const created: Created = {
      type: "created",
      version: 1,
      at: Date.now(),
      id: sandbox.id,
      digest: attemptDigest(call),
      call,
      limits,
      leaseMs,
      tools,
      environment,
      workdir: sandbox.workdir,
      backend: backendOf(backend, environment.backend).name,
      enforced: sandbox.enforced,
      timings: {
        queuedMs: Math.round(times.admitted - times.arrived),
        prepareMs: Math.round(times.prepared - times.admitted),
        sandboxMs: Math.round(now - times.prepared),
        commandMs: 0,
        gradeMs: 0,
        serverMs: Math.round(now - times.arrived),
      },
    };
    try {
      const journal = store.open(created.id);
      const ledger = openLedger(created);
      post(ledger, created, journal.append(created));
      return new Trajectory({
        ledger,
        journal,
        sandbox,
        task,
        judge,
        caps,
        freed: times.freed,
        failed,
        over: this.#over,
      });
    } catch (error) {
      store.remove(created.id);
      await warm.discard(sandbox);
      throw error;
    }
  }
}

function noImages(backend: string): SandlotError {
  const message = `sandbox.image: the backend ${backend} makes no sandboxes from images: name a task, whose environment is then used`;
  return new SandlotError("unsupported", message, { field: "sandbox.image", knob: "backend.type" });
}
