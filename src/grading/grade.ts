import type { TestGroup } from "../verdict/verdict.ts";

export type Validity = "VALID" | "INFRA" | "TASK" | "FLAKY" | "CANCELLED" | "STRUCTURAL";

export type Outcome =
  | "RESOLVED"
  | "UNRESOLVED"
  | "EMPTY_PATCH"
  | "PATCH_DOES_NOT_APPLY"
  | "TESTS_TIMED_OUT"
  | "TESTS_DID_NOT_FINISH"
  | "TAMPERED"
  | "POLICY_BROKE_SANDBOX"
  | "SUBMISSION_TOO_LARGE"
  | "COMPILES"
  | "DOES_NOT_COMPILE"
  | "NO_VERDICT";

export interface TestCount {
  readonly passed: number;
  readonly failed: number;
}

export interface Provenance {
  readonly environmentKey: string;
  readonly baseCommit: string;
  readonly seal: string;
  readonly rule: string;
  readonly parser: string;
  readonly patchSha256: string;
  /** Empty when nothing ran. */
  readonly logSha256: string;
  readonly backend: string;
  readonly serverVersion: string;
  /** Of the image that the environment stands on; absent where it stands on none. */
  readonly imageDigest?: string;
}

/** Where the time of a grade went; its sum is the whole. */
export interface GradeTimings {
  /** Waiting for a grading slot. */
  readonly queuedMs: number;
  readonly submissionMs: number;
  readonly sandboxMs: number;
  readonly applyMs: number;
  readonly testMs: number;
  readonly verdictMs: number;
}

/** The judgement on one submission. Plain JSON: it is journalled as it is. */
export interface Grade {
  readonly id: string;
  /** Present if and only if `validity` is VALID. 1 means: the rule resolved on the whole log of a script that ran to its end. */
  readonly reward?: 0 | 1;
  readonly validity: Validity;
  readonly outcome: Outcome;
  /** For people. Names no hidden test. */
  readonly reason: string;
  /** What the official rule says, where one exists for the task and its tests ran. */
  readonly officialResolved?: boolean;
  readonly officialRule?: string;
  readonly assurance: "RULE_ONLY";
  /** Empty when there is no verdict on a log. */
  readonly tests: Readonly<Partial<Record<"FAIL_TO_PASS" | "PASS_TO_PASS", TestCount>>>;
  /** What only a token with scope `hidden` may see: the names behind `tests`, and the log, head and tail. */
  readonly hidden: { readonly failToPass: TestGroup; readonly passToPass: TestGroup; readonly log: string };
  readonly patchBase64: string;
  /** What the submission does not hold of the work tree's new files, at most 100 paths. */
  readonly leftOut: readonly string[];
  readonly provenance: Provenance;
  readonly timings: GradeTimings;
}
