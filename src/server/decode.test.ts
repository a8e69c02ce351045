import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { SandlotError } from "../errors.ts";
import {
  CreateRequestSchema,
  ExecuteRequestSchema,
  type Feedback,
  GradeRequestSchema,
  ReleaseRequestSchema,
  StepRequestSchema,
} from "../gen/sandlot/v1/rollout_service_pb.ts";
import { decodeCreate, decodeExecute, decodeGrade, decodeRelease, decodeStep } from "./decode.ts";

const ID = `sandlot-a1b2c3-${"0".repeat(32)}`;
const TASK = { case: "taskId", value: "t" } as const;
const labels = (count: number, length: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`${index}`, "x".repeat(length)]));

test.each([
  ["attempt_id", { what: TASK }],
  ["attempt_id", { attemptId: "a\0b", what: TASK }],
  ["attempt_id", { attemptId: "a".repeat(201), what: TASK }],
  ["task_id", { attemptId: "a" }],
  ["pool", { attemptId: "a", what: TASK, pool: "p\0" }],
  ["group.id", { attemptId: "a", what: TASK, group: { id: "", size: 8 } }],
  ["labels", { attemptId: "a", what: TASK, labels: labels(33, 1) }],
  ["labels", { attemptId: "a", what: TASK, labels: labels(1, 257) }],
  ["labels", { attemptId: "a", what: TASK, labels: { "": "x" } }],
  ["tools", { attemptId: "a", what: TASK, tools: [""] }],
])("a Create whose %s cannot be right names it", (field, request) => {
  expect(refusal(() => decodeCreate(create(CreateRequestSchema, request)))).toEqual(["invalid", field]);
});

test("limits that are 0 are left to the server, and an unknown kind of feedback is none", () => {
  const submitFeedback = 99 as Feedback; // what a later client may send
  const request = { attemptId: "a", what: TASK, limits: { maxSteps: 7, memoryMib: 512 }, submitFeedback };
  expect(decodeCreate(create(CreateRequestSchema, request))).toMatchObject({
    pool: "default",
    limits: { maxSteps: 7, memoryMiB: 512 },
    submitFeedback: "NONE",
  });
});

test.each([
  ["invalid", "trajectory_id", { callId: "c" }],
  ["not_found", "trajectory_id", { trajectoryId: "../../etc/passwd", callId: "c" }],
  ["invalid", "call_id", { trajectoryId: ID }],
  ["invalid", "from_offset", { trajectoryId: ID, callId: "c", fromOffset: 2n ** 64n - 1n }],
])("an Execute that cannot be right is %s and names %s", (fault, field, request) => {
  expect(refusal(() => decodeExecute(create(ExecuteRequestSchema, request)))).toEqual([fault, field]);
});

test("arguments of a tool pass as the model wrote them", () => {
  const argumentsJson = "no object \0 at all";
  const request = create(ExecuteRequestSchema, { trajectoryId: ID, callId: "c", tool: "", argumentsJson });
  expect(decodeExecute(request)).toMatchObject({ argumentsJson, tool: "", fromOffset: 0 });
});

test("a turn needs calls, though none of them", () => {
  const turn = { trajectoryId: ID, callId: "c" };
  expect(refusal(() => decodeStep(create(StepRequestSchema, turn)))).toEqual(["invalid", "calls"]);
  const empty = create(StepRequestSchema, { ...turn, action: { case: "calls", value: { calls: [] } } });
  expect(decodeStep(empty).action).toEqual({ type: "calls", calls: [] });
  const text = create(StepRequestSchema, { ...turn, action: { case: "text", value: "hi" }, format: "hermes" });
  expect(decodeStep(text).action).toEqual({ type: "text", text: "hi", format: "hermes" });
  const both = create(StepRequestSchema, {
    ...turn,
    action: { case: "calls", value: { calls: [] } },
    format: "hermes",
  });
  expect(refusal(() => decodeStep(both))).toEqual(["invalid", "format"]);
});

test("a judgement needs a trajectory, or a patch that does not pretend to end one", () => {
  expect(refusal(() => decodeGrade(create(GradeRequestSchema, {})))).toEqual(["invalid", "trajectory_id"]);
  const submission = { case: "submission", value: { taskId: "t" } } as const;
  const finalize = create(GradeRequestSchema, { subject: submission, finalize: true });
  expect(refusal(() => decodeGrade(finalize))).toEqual(["invalid", "finalize"]);
});

test("a release of everything by an empty label is not possible", () => {
  const request = create(ReleaseRequestSchema, { labels: { "": "" } });
  expect(refusal(() => decodeRelease(request))).toEqual(["invalid", "labels"]);
});

function refusal(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof SandlotError)) throw error;
    return [error.fault, error.facts.field];
  }
}
