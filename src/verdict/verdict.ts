/** What a rule says of a log: pure data in, pure data out. */

export type TestStatus = string;
/** Each with the version, or the commit of the public code, that it follows. */
export const RULE_NAMES = [
  "swebench@5.0.2",
  "swebench@4.1.0",
  "swe-smith@3a7c6bb",
  "r2e-gym@69bc953",
  "swe-gym@16dd480",
  "swe-rebench@39316f7",
  "swe-rebench-v2@c71902a",
  "swe-bench-live@70ec57e",
  "swe-bench-pro@ca10a60",
  "multi-swe-bench@24f493f",
  "harbor@1.3",
] as const;
export type RuleName = (typeof RULE_NAMES)[number];
export type EvalType = "pass_and_fail" | "fail_only";

/** What decides a verdict besides the log. Plain data: it crosses a thread. */
export interface Expectation {
  readonly rule: RuleName;
  /** A name of the rule's parsers (`parsers.ts`): the official names, and `unittest`, `node_test`. */
  readonly parser: string;
  readonly evalType: EvalType;
  readonly failToPass: readonly string[];
  readonly passToPass: readonly string[];
  /** A few official parsers choose their format by it. */
  readonly instance?: Instance;
  /** For a rule that wants exactly these tests, each with this status. */
  readonly expected?: readonly (readonly [test: string, status: TestStatus])[];
  /** For a rule that compares with what the tests gave before the submission. */
  readonly stages?: { readonly run: StageResults; readonly test: StageResults };
}

/** Names of tests by how they ended. */
export interface StageResults {
  readonly passed: readonly string[];
  readonly failed: readonly string[];
  readonly skipped: readonly string[];
}

/** The row's `instance_id` and `version`. */
export interface Instance {
  readonly id: string;
  readonly version: string;
}

export interface TestGroup {
  readonly success: readonly string[];
  readonly failure: readonly string[];
}

/** `environment`: no change of source can bring it about; `ambiguous`: one can. */
export interface InfraFailure {
  readonly reason: string;
  readonly tier: "environment" | "ambiguous";
}

export interface Verdict {
  /** The log is complete and readable by the rule; without it nothing is resolved. */
  readonly found: boolean;
  /** Why it is not found, in words. */
  readonly problem?: string;
  /** The official code raises at this log: upstream that is an error of the instance, which has no report then. */
  readonly raised: boolean;
  /** What may have broken the run, where the rule looks for it in a log that it cannot read. Advisory. */
  readonly infra?: InfraFailure;
  readonly resolved: boolean;
  /** Why it is resolved or not, where the two groups do not tell. Names no test. */
  readonly reason?: string;
  /** Test id -> status, in the parser's order. */
  readonly statuses: readonly (readonly [test: string, status: TestStatus])[];
  readonly failToPass: TestGroup;
  readonly passToPass: TestGroup;
}
