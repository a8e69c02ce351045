import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  AssuranceLevel,
  type GradeSchema,
  Outcome,
  type ProvenanceSchema,
  type TestCountSchema,
  type TimingsSchema,
  Validity,
} from "../gen/sandlot/v1/grade_pb.ts";
import type { Grade, GradeTimings, Provenance, TestCount } from "../grading/grade.ts";
import type { Timings } from "../trajectory/rollouts.ts";
import type { TestGroup } from "../verdict/verdict.ts";
import type { Scopes } from "./authorize.ts";

const UINT32_MAX = 0xffff_ffff;

/** `submitted` is absent on a judgement of a bare patch, which nobody submitted. */
export type AnyGrade = Grade & { readonly submitted?: boolean };

/** Names of hidden tests leave only with scope `hidden`, the log of their run never. */
export function encodeGrade(grade: AnyGrade, scopes: Scopes): MessageInitShape<typeof GradeSchema> {
  const { id, reward, validity, outcome, reason, officialResolved, officialRule, hidden, tests, leftOut } = grade;
  const names = scopes.has("hidden");
  const counts = [
    ["FAIL_TO_PASS", tests.FAIL_TO_PASS, hidden.failToPass],
    ["PASS_TO_PASS", tests.PASS_TO_PASS, hidden.passToPass],
  ] as const;
  return {
    ...{ id, reason, officialRule: officialRule ?? "" },
    ...(reward !== undefined && { reward }),
    validity: Validity[validity],
    outcome: Outcome[outcome],
    ...(officialResolved !== undefined && { officialResolved }),
    assurance: { level: AssuranceLevel[grade.assurance] },
    tests: Object.fromEntries(
      counts.flatMap(([group, count, of]) => (count ? [[group, encodeCount(count, names ? of : NO_NAMES)]] : [])),
    ),
    provenance: encodeProvenance(grade.provenance),
    timings: encodeGradeTimings(grade.timings),
    submitted: grade.submitted ?? false,
    patch: Buffer.from(grade.patchBase64, "base64"),
    leftOut: [...leftOut],
  };
}

const NO_NAMES: TestGroup = { success: [], failure: [] };

function encodeCount({ passed, failed }: TestCount, names: TestGroup): MessageInitShape<typeof TestCountSchema> {
  return { passed, failed, passedNames: [...names.success], failedNames: [...names.failure] };
}

function encodeProvenance({ environmentKey, ...same }: Provenance): MessageInitShape<typeof ProvenanceSchema> {
  return { ...same, environmentDigest: environmentKey };
}

function encodeGradeTimings(timings: GradeTimings): MessageInitShape<typeof TimingsSchema> {
  const whole = Object.values(timings).reduce((sum: number, part: number) => sum + part, 0);
  const { queuedMs, submissionMs, sandboxMs, applyMs, testMs, verdictMs } = timings;
  return {
    queuedMs: uint32(queuedMs),
    submissionMs: uint32(submissionMs),
    sandboxMs: uint32(sandboxMs),
    commandMs: uint32(applyMs + testMs),
    testsMs: uint32(testMs),
    verdictMs: uint32(verdictMs),
    gradeMs: uint32(whole - queuedMs),
    serverMs: uint32(whole),
  };
}

export function encodeTimings(timings: Timings): MessageInitShape<typeof TimingsSchema> {
  const entries = Object.entries(timings).map(([name, value]) => [name, uint32(value)] as const);
  return Object.fromEntries(entries);
}

/** A duration or a count as the wire has it: whole, never negative, never too large. */
export function uint32(value: number): number {
  return Math.min(UINT32_MAX, Math.max(0, Math.round(value) || 0));
}
