import type { Expectation } from "../verdict/verdict.ts";

/** A harness whose way to apply a submission is in the table of `apply.ts`. */
export type ApplyName =
  | "swebench@5.0.2"
  | "swebench@4.1.0"
  | "swebench@2.1"
  | "swe-rebench-v2"
  | "swe-bench-live"
  | "swe-bench-pro"
  | "multi-swe-bench"
  | "plain";

/** All that grading knows of a task: plain data, made by a task reader. Never enters an agent's sandbox. */
export interface GraderSpec {
  readonly expectation: Expectation;
  /** The chain of commands that applies the submission, by the version of the harness that ran it. */
  readonly apply: ApplyName;
  /** Run as `bash <file>` in the fresh sandbox after the patch is applied, stdout and stderr on one pipe. Byte for byte. */
  readonly script: string;
  readonly timeoutMs: number;
  /** The rule's public name where an official rule exists for this task, e.g. `swebench@5.0.2`. */
  readonly officialRule?: string;
  /** In the fresh sandbox before anything of the submission is there. */
  readonly files?: readonly HiddenFile[];
  /** A script run after that, still before the submission is applied. That it fails is the task's fault. */
  readonly before?: string;
  /** Whether new files that git ignores are part of a submission; default false. */
  readonly ignored?: boolean;
  /** Put back after the submission was applied. */
  readonly restore?: Restore;
  /** Absolute paths of files that the script writes: they are judged, as JSON by path, in place of the log. */
  readonly results?: readonly string[];
  /** A program that reads the log, or the results, in a sandbox of its own; what it writes is judged. */
  readonly reading?: Reading;
}

/** A file for a sandbox: a text, or a file or folder of this host. */
export type HiddenFile =
  | { readonly path: string; readonly text: string }
  | { readonly path: string; readonly from: string };

/** Paths in the repository: those of its sealed commit get their content back, the others go. */
export interface Restore {
  readonly tracked: readonly string[];
  readonly added: readonly string[];
}

/** Inputs lie at `/reading/in/0`, `/reading/in/1`, ...; the output is expected at `/reading/out.json`. */
export interface Reading {
  readonly files: readonly HiddenFile[];
  readonly argv: readonly string[];
}
