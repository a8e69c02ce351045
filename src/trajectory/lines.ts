import type { Environment } from "../environments/environment.ts";
import type { Grade } from "../grading/grade.ts";
import type { Cost, Enforced, OutputChunk } from "../sandbox/sandbox.ts";
import type { ToolState } from "../tools/tool.ts";
import type { ExecOutcome, WriteOutcome } from "./harness-calls.ts";
import type {
  CreateCall,
  Ending,
  StepResult,
  Timings,
  TrajectoryGrade,
  TrajectoryLimits,
  TurnCall,
  TurnResult,
} from "./rollouts.ts";

/**
 * The lines of a trajectory's journal, which is also its record. Version 1. An intent is written before its dispatch, an outcome before its answer.
 * Everything under a key named `hidden` must not leave the server without the scope for it.
 */
export type Line =
  | Created
  | StepIntent
  | StepOutcome
  | TurnIntent
  | TurnOutcome
  | GradeIntent
  | SubmissionTaken
  | GradeOutcome
  | Execution
  | ExecutionResult
  | Written
  | WrittenResult
  | Ended;

interface Stamp {
  /** Milliseconds since 1970. */
  readonly at: number;
}

export interface Created extends Stamp {
  readonly type: "created";
  readonly version: 1;
  readonly id: string;
  readonly digest: string;
  readonly call: CreateCall;
  readonly limits: TrajectoryLimits;
  readonly leaseMs: number;
  readonly tools: readonly string[];
  readonly environment: Environment;
  /** The repository's folder for commands of this sandbox. */
  readonly workdir: string;
  readonly backend: string;
  readonly enforced: Enforced;
  readonly timings: Timings;
}

export interface StepIntent extends Stamp {
  readonly type: "step";
  /** Key in the index of calls. */
  readonly key: string;
  readonly digest: string;
  readonly step: number;
  readonly callId: string;
  readonly tool: string;
  readonly argumentsJson: string;
  readonly timeoutMs: number;
  readonly queuedMs: number;
}

export interface StepOutcome extends Stamp {
  readonly type: "result";
  readonly key: string;
  readonly result: Omit<StepResult, "replayed" | "grade">;
  /** The tool state after the step; absent = unchanged. */
  readonly state?: ToolState;
  /** The sandbox was found destroyed by its own processes. */
  readonly broken?: true;
  readonly output: readonly StoredChunk[];
}

export interface TurnIntent extends Stamp {
  readonly type: "turn";
  readonly key: string;
  readonly digest: string;
  readonly turn: number;
  readonly callId: string;
  readonly calls: readonly TurnCall[];
  /** The message in which they were written, where they came as text. */
  readonly said?: { readonly text: string; readonly format: string };
  /** Why they could not be read. */
  readonly parseError?: string;
}

export interface TurnOutcome extends Stamp {
  readonly type: "turn_result";
  readonly key: string;
  readonly turn: Omit<TurnResult, "results" | "replayed" | "grade">;
  /** Keys of the executed steps. */
  readonly steps: readonly string[];
}

export interface GradeIntent extends Stamp {
  readonly type: "grading";
  readonly gradeId: string;
  readonly key: string;
  readonly final: boolean;
  readonly submitted: boolean;
}

export interface SubmissionTaken extends Stamp {
  readonly type: "submission";
  readonly gradeId: string;
  readonly patchBase64: string;
  readonly leftOut: readonly string[];
  readonly tookMs: number;
  /** Set when there is nothing to run: the judgement is already clear. */
  readonly refused?: "POLICY_BROKE_SANDBOX" | "SUBMISSION_TOO_LARGE";
  readonly reason?: string;
}

export interface GradeOutcome extends Stamp {
  readonly type: "grade";
  readonly gradeId: string;
  readonly key: string;
  readonly final: boolean;
  readonly submitted: boolean;
  readonly grade: Grade;
}

/** A harness is about to run a program beside the steps. */
export interface Execution extends Stamp {
  readonly type: "exec";
  readonly key: string;
  readonly digest: string;
  readonly callId: string;
  readonly argv: readonly string[];
  readonly workdir: string;
  /** Values may be secrets of the harness. */
  readonly envNames: readonly string[];
  readonly stdinBytes: number;
  readonly timeoutMs: number;
}

export interface ExecutionResult extends Stamp {
  readonly type: "exec_result";
  readonly key: string;
  readonly result: Omit<ExecOutcome, "replayed">;
  /** The sandbox was found destroyed by its own processes. */
  readonly broken?: true;
  readonly output: readonly StoredChunk[];
}

/** A harness is about to write a file. */
export interface Written extends Stamp {
  readonly type: "write";
  readonly key: string;
  readonly digest: string;
  readonly callId: string;
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly mode?: number;
}

export interface WrittenResult extends Stamp {
  readonly type: "write_result";
  readonly key: string;
  readonly result: Omit<WriteOutcome, "replayed">;
}

/** Written before anything is removed. Carries what a summary needs, so that an ended trajectory is known by its first and last line. */
export interface Ended extends Stamp {
  readonly type: "ended";
  readonly ending: Ending;
  readonly reason?: string;
  readonly lastStep: number;
  readonly turns: number;
  /** Absent = none. */
  readonly harnessCalls?: number;
  readonly wallUsedMs: number;
  /** Of the policy's sandbox, where somebody lends the machine that it is in. */
  readonly cost?: Cost;
  readonly grade?: TrajectoryGrade;
}

/** [offset, "o" or "e", text], or with a fourth member when the bytes are no UTF-8: then the text is base64. */
export type StoredChunk = readonly [number, "o" | "e", string] | readonly [number, "o" | "e", string, "base64"];

export function storeChunks(chunks: readonly OutputChunk[]): StoredChunk[] {
  return chunks.map(({ offset, stream, data }) => {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    const text = bytes.toString("utf8");
    const letter = stream === "stdout" ? "o" : "e";
    return Buffer.from(text).equals(bytes)
      ? [offset, letter, text]
      : [offset, letter, bytes.toString("base64"), "base64"];
  });
}

export function restoreChunks(stored: readonly StoredChunk[]): OutputChunk[] {
  return stored.map(([offset, letter, text, encoding]) => ({
    offset,
    stream: letter === "o" ? "stdout" : "stderr",
    data: Buffer.from(text, encoding ?? "utf8"),
  }));
}
