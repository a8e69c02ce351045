import type { Grade } from "../grading/grade.ts";
import type { Lacks } from "../sandbox/abilities.ts";
import type { Enforced, OutputChunk } from "../sandbox/sandbox.ts";
import type { ChatMessage } from "../tasks/prompt.ts";
import type { Task } from "../tasks/task.ts";
import type { ToolSchema } from "../tools/tool.ts";
import type { ExecCall, ExecOutcome, FilePiece, ReadCall, WriteCall, WriteOutcome } from "./harness-calls.ts";

/** What the server can be asked, in plain data: routes translate the wire to this and back. All throws are SandlotError or bugs. */

export const STATES = ["QUEUED", "PREPARING", "ACTIVE", "GRADING", "SUBMITTED", "ENDED"] as const;
export type State = (typeof STATES)[number];
export const ENDINGS = ["SUBMITTED", "RELEASED", "LEASE", "BUDGET", "POLICY_BROKE_SANDBOX", "INFRA", "TASK"] as const;
export type Ending = (typeof ENDINGS)[number];
export type Feedback = "NONE" | "VERDICT" | "COUNTS";

export interface TrajectoryLimits {
  readonly maxSteps: number;
  readonly maxTurns: number;
  readonly wallMs: number;
  readonly commandMs: number;
  readonly noOutputMs: number;
  readonly outputBytes: number;
  readonly memoryMiB: number;
  readonly cpuMilli: number;
  readonly pids: number;
  readonly diskMiB: number;
  readonly gradeMs: number;
}

export interface Group {
  readonly id: string;
  readonly size: number;
}

export interface Budget {
  readonly steps: number;
  readonly turns: number;
  readonly wallMs: number;
}

export interface Timings {
  readonly queuedMs: number;
  readonly prepareMs: number;
  readonly sandboxMs: number;
  readonly commandMs: number;
  readonly gradeMs: number;
  readonly serverMs: number;
}

/** A grade of a trajectory. `submitted`: by the policy, within its budget. */
export type TrajectoryGrade = Grade & { readonly submitted: boolean };

export interface Summary {
  readonly id: string;
  readonly taskId: string;
  readonly attemptId: string;
  readonly pool: string;
  readonly group?: Group;
  readonly labels: Readonly<Record<string, string>>;
  readonly state: State;
  readonly ending?: Ending;
  /** Empty in lists. */
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly ToolSchema[];
  readonly limits: TrajectoryLimits;
  readonly enforced: Enforced;
  readonly lastStep: number;
  readonly grade?: TrajectoryGrade;
  readonly createdAt: Date;
  readonly leaseUntil?: Date;
  readonly timings: Timings;
  readonly environmentKey: string;
  readonly recordUri: string;
  readonly workdir: string;
  readonly left: Budget;
  /** Calls of a harness that may have changed the sandbox. */
  readonly harnessCalls: number;
  /** It is a bare sandbox. */
  readonly bare: boolean;
}

export interface StepResult {
  readonly step: number;
  readonly callId: string;
  readonly tool: string;
  readonly text: string;
  readonly kind: "OK" | "TOOL_ERROR" | "TIMED_OUT" | "INTERRUPTED" | "DONE" | "OUT_OF_BUDGET";
  readonly exitCode?: number;
  readonly signal?: number;
  readonly outputBytes: number;
  readonly outputTruncated: boolean;
  readonly spillPath?: string;
  readonly oomKills: number;
  /** That the command had; 0 = it had none. */
  readonly timeoutMs: number;
  readonly terminated: boolean;
  readonly truncated: boolean;
  readonly grade?: TrajectoryGrade;
  readonly left: Budget;
  readonly timings: Timings;
  readonly replayed: boolean;
}

/** What to append to the chat after a turn. */
export interface Observation {
  readonly role: "tool" | "user";
  readonly content: string;
  readonly toolCallId?: string;
  readonly name?: string;
}

export interface TurnResult {
  readonly turn: number;
  readonly observations: readonly Observation[];
  /** Why the calls in the message's text could not be read; then nothing was run. */
  readonly parseError?: string;
  readonly results: readonly StepResult[];
  readonly reward?: number;
  readonly terminated: boolean;
  readonly truncated: boolean;
  readonly grade?: TrajectoryGrade;
  readonly left: Budget;
  readonly replayed: boolean;
}

export type StreamEvent<R = StepResult> =
  | { readonly type: "queued"; readonly ahead: number }
  | { readonly type: "output"; readonly chunk: OutputChunk }
  | { readonly type: "progress"; readonly offset: number; readonly runningMs: number }
  | { readonly type: "result"; readonly offset: number; readonly result: R };

/** What a bare sandbox has beside the environment of a task. */
export interface BareSpec {
  /** Empty = the environment of the task. */
  readonly image: string;
  /** Empty = the environment's. */
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface CreateCall {
  readonly attemptId: string;
  readonly taskId: string;
  readonly pool: string;
  readonly group?: Group;
  readonly labels: Readonly<Record<string, string>>;
  /** Absent or 0 = default. */
  readonly limits: Partial<TrajectoryLimits>;
  readonly leaseMs: number;
  readonly submitFeedback: Feedback;
  readonly tools: readonly string[];
  /** Absent = a trajectory on the task. */
  readonly bare?: BareSpec;
}

export interface ExecuteCall {
  readonly trajectoryId: string;
  readonly callId: string;
  /** 0 = next. */
  readonly step: number;
  readonly tool: string;
  readonly argumentsJson: string;
  readonly timeoutMs: number;
}

export interface StepCall {
  readonly trajectoryId: string;
  readonly callId: string;
  /** 0 = next. */
  readonly turn: number;
  readonly action: Action;
}

/** What the assistant did: its tool calls, or the text of its message, in which they are written in a format. */
export type Action =
  | { readonly type: "calls"; readonly calls: readonly TurnCall[] }
  | { readonly type: "text"; readonly text: string; readonly format: string };

export interface TurnCall {
  /** As the model's message has it; comes back in the observation. */
  readonly id: string;
  readonly name: string;
  readonly argumentsJson: string;
}

/** What ends the waiting of a call: never the work. */
export interface Waiting {
  readonly signal: AbortSignal;
  /** When the client stops waiting, as performance.now() counts; Infinity = it does not say. */
  readonly deadline: number;
}

export interface PrepareProgress {
  readonly taskId: string;
  readonly stage: string;
  readonly message: string;
  readonly environmentKey?: string;
  readonly done: boolean;
  readonly fault?: string;
  readonly prepareMs: number;
}

export interface PoolUse {
  readonly slots: number;
  readonly used: number;
  readonly queued: number;
}

/** Fault `unsupported` where the configuration does not offer it. */
export interface HarnessCalls {
  exec(call: ExecCall & { readonly fromOffset: number }, waiting: Waiting): AsyncIterable<StreamEvent<ExecOutcome>>;
  readFile(call: ReadCall, waiting: Waiting): AsyncIterable<FilePiece>;
  writeFile(call: WriteCall, waiting: Waiting): Promise<WriteOutcome>;
}

/** Implemented by the trajectory layer, called by routes; a fake of it is not needed: tests run the real one. */
export interface Rollouts extends HarnessCalls {
  info(): {
    readonly instance: string;
    readonly backend: string;
    readonly isolated: boolean;
    /** The default one first, which is called `default`. */
    readonly backends: readonly {
      readonly name: string;
      readonly type: string;
      readonly isolated: boolean;
      readonly images: boolean;
      readonly enforced: Enforced;
      readonly lacks: Lacks;
    }[];
    readonly defaultLimits: TrajectoryLimits;
    readonly enforced: Enforced;
    readonly pools: Readonly<Record<string, PoolUse>>;
    readonly grading: PoolUse;
    readonly draining: boolean;
    readonly leaseMs: number;
    readonly harness: boolean;
  };
  tasks(): readonly Task[];
  /** Fault not_found. */
  task(id: string): Task;
  /** Empty = playable, else what is missing. */
  unplayable(task: Task): Promise<string>;
  toolSchemas(task: Task): readonly ToolSchema[];
  prepare(taskIds: readonly string[], waiting: Waiting): AsyncIterable<PrepareProgress>;
  create(call: CreateCall, waiting: Waiting): Promise<Summary>;
  execute(call: ExecuteCall, waiting: Waiting): Promise<StepResult>;
  executeStream(call: ExecuteCall & { readonly fromOffset: number }, waiting: Waiting): AsyncIterable<StreamEvent>;
  step(call: StepCall, waiting: Waiting): Promise<TurnResult>;
  interrupt(trajectoryId: string, callId: string): Promise<Summary>;
  gradeTrajectory(
    call: { readonly trajectoryId: string; readonly finalize: boolean; readonly callId: string },
    waiting: Waiting,
  ): Promise<TrajectoryGrade>;
  gradePatch(
    call: { readonly taskId: string; readonly patch: Uint8Array; readonly gradeMs: number; readonly callId: string },
    waiting: Waiting,
  ): Promise<Grade>;
  release(call: {
    readonly trajectoryIds: readonly string[];
    readonly attemptIds: readonly string[];
    readonly labels: Readonly<Record<string, string>>;
  }): Promise<{
    readonly ended: readonly Summary[];
    readonly unknown: readonly string[];
    readonly cancelledCreates: number;
  }>;
  heartbeat(
    ids: readonly string[],
    leaseMs: number,
  ): Promise<{
    readonly alive: readonly { readonly id: string; readonly leaseUntil: Date; readonly state: State }[];
    readonly gone: readonly string[];
  }>;
  get(id: string): Promise<Summary>;
  /** Newest first. `filter` as in the proto; fault invalid when it cannot be read. */
  list(call: {
    readonly filter: string;
    readonly pageSize: number;
    readonly pageToken: string;
  }): Promise<{ readonly trajectories: readonly Summary[]; readonly nextPageToken: string }>;
  /** The journal's lines as parsed JSON; fault not_found. */
  record(id: string): AsyncIterable<unknown>;
}
