import { SandlotError } from "../errors.ts";
import { attemptDigest, otherAttempt } from "./creation.ts";
import type { CreateCall, Summary } from "./rollouts.ts";
import { slimGrade } from "./summary.ts";
import type { Trajectory } from "./trajectory.ts";

/** A trajectory that is over, as far as it is remembered: its grade is a slim one. */
export interface Past {
  readonly summary: Summary;
  readonly attemptDigest: string;
}

/** All trajectories this server knows, by id and by attempt id: those that live, and the summaries of those that ended. */
export class Population {
  readonly #live = new Map<string, Trajectory>();
  readonly #past = new Map<string, Past>();
  readonly #attempts = new Map<string, string>();

  add(trajectory: Trajectory): void {
    this.#live.set(trajectory.id, trajectory);
    this.#attempts.set(trajectory.ledger.created.call.attemptId, trajectory.id);
  }

  /** From now on it is past. */
  bury(summary: Summary, digest: string): void {
    this.#live.delete(summary.id);
    const grade = summary.grade ? { grade: slimGrade(summary.grade) } : {};
    this.#past.set(summary.id, { summary: { ...summary, ...grade, messages: [], tools: [] }, attemptDigest: digest });
    this.#attempts.set(summary.attemptId, summary.id);
  }

  forget(id: string): void {
    const past = this.#past.get(id);
    this.#past.delete(id);
    if (past && this.#attempts.get(past.summary.attemptId) === id) this.#attempts.delete(past.summary.attemptId);
  }

  /** Faults `not_found` and `ended`. */
  live(id: string): Trajectory {
    const found = this.#live.get(id);
    if (found) return found;
    const { summary } = this.#pastOf(id);
    const message = `trajectory ${id} is over: ${summary.ending ?? "ended"}`;
    throw new SandlotError("ended", message, { trajectoryId: id });
  }

  /** What an earlier Create with this attempt id made; fault `invalid` when that was another request. */
  ofAttempt(call: CreateCall): Summary | undefined {
    const id = this.#attempts.get(call.attemptId);
    if (id === undefined) return undefined;
    const live = this.#live.get(id);
    const digest = live?.ledger.created.digest ?? this.#past.get(id)?.attemptDigest;
    if (digest !== attemptDigest(call)) throw otherAttempt(call.attemptId);
    return live?.summary() ?? this.#past.get(id)?.summary;
  }

  find(id: string): Trajectory | undefined {
    return this.#live.get(id);
  }

  summary(id: string): Summary {
    return this.#live.get(id)?.summary() ?? this.#pastOf(id).summary;
  }

  idOfAttempt(attemptId: string): string | undefined {
    return this.#attempts.get(attemptId);
  }

  get alive(): readonly Trajectory[] {
    return [...this.#live.values()];
  }

  get past(): readonly Summary[] {
    return [...this.#past.values()].map(({ summary }) => summary);
  }

  #pastOf(id: string): Past {
    const past = this.#past.get(id);
    if (past) return past;
    throw new SandlotError(
      "not_found",
      `expected the id of a trajectory, got "${id.slice(0, 100)}", which nobody knows (any more)`,
      {
        field: "trajectory_id",
        knob: "records.days",
      },
    );
  }
}
