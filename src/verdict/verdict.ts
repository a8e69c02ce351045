/** What a rule says of a log: pure data in, pure data out. */

export type TestStatus = string;
export const RULE_NAMES = ["swebench@5.0.2", "swebench@4.1.0"] as const;
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

export interface Verdict {
  /** The log is complete and readable by the rule; without it nothing is resolved. */
  readonly found: boolean;
  /** Why it is not found, in words. */
  readonly problem?: string;
  /** The official code raises at this log: upstream that is an error of the instance, which has no report then. */
  readonly raised: boolean;
  readonly resolved: boolean;
  /** Test id -> status, in the parser's order. */
  readonly statuses: readonly (readonly [test: string, status: TestStatus])[];
  readonly failToPass: TestGroup;
  readonly passToPass: TestGroup;
}
