import type { ExecOptions, ExecResult, FileContent, Limits, OutputChunk } from "../sandbox/sandbox.ts";

/** JSON that a tool keeps between calls; the trajectory journals it whole after each step. */
export interface ToolState {
  /** Working directory of `bash`; absent = the task's workdir. */
  readonly cwd?: string;
  /** Exported variables that differ from the sandbox's own environment; null = unset. */
  readonly exported?: Readonly<Record<string, string | null>>;
  /** Undo history of `str_replace_editor`: path -> earlier contents, oldest first (deflated, base64), the path edited last at the end; null = the file did not exist. */
  readonly undo?: Readonly<Record<string, readonly (string | null)[]>>;
}

/** A sandbox as one step sees it: call ids are given by the step, so that a step that is run again after a crash finds its own results. */
export interface StepSandbox {
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly limits: Limits;
  locate(path: string): string;
  exec(argv: readonly string[], options: Omit<ExecOptions, "callId" | "signal" | "onOutput">): Promise<ExecResult>;
  readFile(path: string, options?: { readonly maxBytes?: number }): Promise<FileContent>;
  writeFile(
    path: string,
    data: Uint8Array,
    options?: { readonly mode?: number },
  ): Promise<{ readonly failure?: string }>;
}

/** How much of a command's output is kept: the server's setting, the same for every call. */
export interface OutputCaps {
  /** For the record and for streams: head and tail. */
  readonly keepBytes: number;
  /** Of a longer output, in a file in the sandbox. */
  readonly spillBytes: number;
}

export interface ToolCall extends OutputCaps {
  readonly sandbox: StepSandbox;
  readonly state: ToolState;
  /** The step's effective time-out and caps. */
  readonly timeoutMs: number;
  readonly noOutputTimeoutMs: number;
  /** Cap of `text`, head and tail. */
  readonly outputBytes: number;
}

export interface ToolResult {
  readonly kind: "OK" | "TOOL_ERROR" | "TIMED_OUT" | "INTERRUPTED";
  /** What the policy reads: UTF-8, capped. */
  readonly text: string;
  readonly state: ToolState;
  readonly exitCode?: number;
  readonly signal?: number;
  readonly outputBytes: number;
  readonly truncated: boolean;
  readonly spillPath?: string;
  readonly oomKills: number;
  readonly commandMs: number;
  /** Kept output for the record and for streams. */
  readonly output: readonly OutputChunk[];
}

/** OpenAI function form; flat scalars only (verl drops the rest). */
export interface ToolSchema {
  readonly type: "function";
  readonly function: {
    readonly name: string;
    readonly description: string;
    readonly parameters: {
      readonly type: "object";
      readonly properties: Readonly<
        Record<string, { readonly type: string; readonly description: string; readonly enum?: readonly string[] }>
      >;
      readonly required: readonly string[];
    };
  };
}

/**
 * A tool of the policy. `run` must be a deterministic function of its arguments, the state and what the sandbox answers: after a crash it is run again over the sandbox's kept results.
 * A model's mistake is a result of kind TOOL_ERROR, never a throw. `submit` marks the tool that ends the trajectory; the trajectory carries it out.
 */
export interface Tool {
  readonly schema: ToolSchema;
  readonly submit?: true;
  /** String parameters that are also taken as JSON lists (and reach `run` as their JSON). */
  readonly listsAsText?: readonly string[];
  run(args: Readonly<Record<string, unknown>>, call: ToolCall): Promise<ToolResult>;
}
