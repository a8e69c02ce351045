import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  AssuranceLevel,
  type GradeSchema,
  Outcome,
  type TestCountSchema,
  type TimingsSchema,
  Validity,
} from "../gen/sandlot/v1/grade_pb.ts";
import type { Grade } from "../grading/grade.ts";
import type { Timings } from "../trajectory/rollouts.ts";
import type { Scopes } from "./authorize.ts";

const UINT32_MAX = 0xffff_ffff;

export function encodeTimings(timings: Timings): MessageInitShape<typeof TimingsSchema> {
  const entries = Object.entries(timings).map(([name, value]) => [name, uint32(value)] as const);
  return Object.fromEntries(entries);
}

/** A duration or a count as the wire has it: whole, never negative, never too large. */
export function uint32(value: number): number {
  return Math.min(UINT32_MAX, Math.max(0, Math.round(value) || 0));
}

export function encodeGrade(grade: Grade, scopes: Scopes): MessageInitShape<typeof GradeSchema> {
  return { id: grade.id, reason: grade.reason };
}
