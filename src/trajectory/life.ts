import type { Environment } from "../environments/environment.ts";
import type { Grade } from "../grading/grade.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { Task } from "../tasks/task.ts";
import type { OutputCaps } from "../tools/tool.ts";
import type { Meter } from "./budget.ts";
import type { Position } from "./journal.ts";
import type { Ledger } from "./ledger.ts";
import type { Line } from "./lines.ts";
import type { PrefixedSandbox } from "./step-sandbox.ts";

/** What leaves an agent's sandbox, or why nothing can. */
export interface Submission {
  readonly patch: Uint8Array;
  readonly leftOut: readonly string[];
  readonly refused?: { readonly outcome: "POLICY_BROKE_SANDBOX" | "SUBMISSION_TOO_LARGE"; readonly reason: string };
}

/** Grading, as a trajectory needs it. */
export interface Judge {
  /** Freezes the sandbox, reads its work tree, lets it go on. Fault `sandbox` when the infrastructure failed. */
  takeSubmission(
    task: Task | undefined,
    sandbox: Sandbox,
    environment: Environment,
    signal: AbortSignal,
  ): Promise<Submission>;
  /** What of a submission is more than the guardrails allow, in words; undefined: nothing. Undefined as a whole where there are none. */
  readonly excess: ((submission: Submission) => string | undefined) | undefined;
  /** Waits for a grading slot, then judges. Never throws for a reason that a Grade can carry; an abort gives CANCELLED. */
  judge(
    task: Task,
    environment: Environment,
    submission: Submission,
    options: { readonly gradeMs: number; readonly submissionMs: number; readonly signal: AbortSignal },
  ): Promise<Grade>;
}

/** What runs now in a trajectory. */
export interface Running {
  readonly key: string;
  readonly callId: string;
  readonly sandbox?: PrefixedSandbox;
}

/** One live trajectory from within: shared by the functions that carry out its steps, turns and grades. */
export interface Life {
  readonly ledger: Ledger;
  readonly meter: Meter;
  /** Undefined for a bare sandbox from an image. */
  readonly task: Task | undefined;
  readonly judge: Judge;
  readonly caps: OutputCaps;
  /** Fires when the trajectory is ended: kills what runs. */
  readonly ending: AbortSignal;
  /** Undefined once it is given back. */
  sandbox: Sandbox | undefined;
  running: Running | undefined;
  /** Writes a line and posts it to the ledger. */
  write(line: Line): Position;
  /** Reads an answered line again. */
  read(position: Position): Line;
  /** Removes the sandbox and frees its slot. Idempotent; does not throw. */
  giveBackSandbox(): Promise<void>;
}
