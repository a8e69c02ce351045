import type { FileContent } from "../sandbox/sandbox.ts";

/** What a harness can ask of the sandbox of a trajectory, in plain data. */

export interface ExecCall {
  readonly trajectoryId: string;
  readonly callId: string;
  readonly argv: readonly string[];
  /** Above the sandbox's own variables. */
  readonly env: Readonly<Record<string, string>>;
  /** Empty = the sandbox's. */
  readonly workdir: string;
  readonly stdin: Uint8Array;
  /** 0 = the trajectory's. */
  readonly timeoutMs: number;
  /** 0 = off. */
  readonly noOutputMs: number;
  /** 0 = 1 MiB. */
  readonly keepBytes: number;
}

export interface ExecOutcome {
  readonly exitCode?: number;
  readonly signal?: number;
  readonly kind: "OK" | "TIMED_OUT" | "INTERRUPTED";
  readonly outputBytes: number;
  readonly outputTruncated: boolean;
  readonly oomKills: number;
  readonly durationMs: number;
  readonly timeoutMs: number;
  readonly note?: string;
  readonly replayed: boolean;
}

export interface ReadCall {
  readonly trajectoryId: string;
  readonly path: string;
  readonly offset: number;
  /** 0 = all. */
  readonly maxBytes: number;
}

/** A piece of a file and where it begins. There is always one; `type` and `sizeBytes` of the first one count. */
export interface FilePiece extends FileContent {
  readonly offset: number;
}

export interface WriteCall {
  readonly trajectoryId: string;
  readonly callId: string;
  readonly path: string;
  readonly mode?: number;
  readonly data: Uint8Array;
}

export interface WriteOutcome {
  readonly failure?: string;
  readonly replayed: boolean;
}
