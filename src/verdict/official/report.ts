import type { TestGroup, Verdict } from "../verdict.ts";
import type { OfficialRule } from "./repositories.ts";

export interface InstanceReport {
  readonly patch_is_None: boolean;
  readonly patch_exists: boolean;
  readonly patch_successfully_applied: boolean;
  readonly resolved: boolean;
  /** 5.0.2 only. */
  readonly infra_failure?: boolean;
  /** 5.0.2 only, of a log that it cannot read. */
  readonly infra_failure_reason?: string;
  readonly tests_status?: Readonly<Record<GroupName, TestGroup>>;
}

type GroupName = "FAIL_TO_PASS" | "PASS_TO_PASS" | "FAIL_TO_FAIL" | "PASS_TO_FAIL";

/**
 * `get_eval_report` of `harness/grading.py`: what `report.json` holds of one instance. `verdict` is undefined where there is no patch. There is
 * no report where the official code raises.
 */
export function instanceReport(rule: OfficialRule, verdict: Verdict | undefined): InstanceReport {
  const found = verdict?.found === true;
  const base = {
    patch_is_None: verdict === undefined,
    patch_exists: verdict !== undefined,
    patch_successfully_applied: found,
    resolved: verdict?.resolved === true,
    ...(rule === "swebench@5.0.2" && infraFields(verdict)),
  };
  return found ? { ...base, tests_status: testsStatus(verdict) } : base;
}

function infraFields(verdict: Verdict | undefined) {
  const infra = verdict?.infra;
  if (infra === undefined) return { infra_failure: false };
  return { infra_failure: infra.tier === "environment", infra_failure_reason: infra.reason };
}

/** The last two are never asked for. */
function testsStatus({ failToPass, passToPass }: Verdict): NonNullable<InstanceReport["tests_status"]> {
  const none = { success: [], failure: [] };
  return { FAIL_TO_PASS: failToPass, PASS_TO_PASS: passToPass, FAIL_TO_FAIL: none, PASS_TO_FAIL: none };
}

/** `json.dumps(value, indent=4)`: everything but printable ASCII is escaped. */
export function pythonJson(value: unknown): string {
  return JSON.stringify(value, undefined, 4).replace(/[^\x20-\x7e\n]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
