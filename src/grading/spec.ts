import type { Expectation } from "../verdict/verdict.ts";

/** A version of a harness whose way to apply a submission is in the table of `apply.ts`. */
export type ApplyName = "swebench@5.0.2" | "swebench@4.1.0";

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
}
