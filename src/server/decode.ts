import { SandlotError } from "../errors.ts";
import {
  type CreateRequest,
  type ExecuteRequest,
  Feedback,
  type GradeRequest,
  type ReleaseRequest,
  type StepRequest,
} from "../gen/sandlot/v1/rollout_service_pb.ts";
import type { Limits } from "../gen/sandlot/v1/trajectory_pb.ts";
import type { CreateCall, ExecuteCall, Group, Rollouts, StepCall, TrajectoryLimits } from "../trajectory/rollouts.ts";

/** Requests as plain data. What cannot be right whatever the server's state is `invalid` here, with the field as the proto spells it. */

const MAX_ID = 200;
const MAX_LABELS = 32;
const MAX_LABEL_BYTES = 256;
const MAX_IDS = 100_000;
const MAX_PATH_BYTES = 4_096;

export function decodeCreate(request: CreateRequest): CreateCall {
  return {
    attemptId: identifier(request.attemptId, "attempt_id"),
    ...decodeSubject(request),
    pool: optional(request.pool, "pool") || "default",
    ...(request.group && { group: decodeGroup(request.group) }),
    labels: decodeLabels(request.labels),
    limits: decodeLimits(request.limits),
    leaseMs: request.leaseMs,
    submitFeedback: feedback(request.submitFeedback),
    tools: identifiers(request.tools, "tools"),
  };
}

function decodeSubject({ what, tools }: CreateRequest): Pick<CreateCall, "taskId" | "bare"> {
  if (what.case !== "sandbox") return { taskId: identifier(what.case === "taskId" ? what.value : "", "task_id") };
  if (tools.length > 0) throw invalid("tools", "none with a bare sandbox", `${tools.length}`);
  const { base, workdir, env } = what.value;
  const bare = {
    image: base.case === "image" ? imageName(base.value) : "",
    workdir: workdir === "" ? "" : absolute(workdir, "sandbox.workdir"),
    env: decodeEnv(env, "sandbox.env"),
  };
  if (base.case === "image") return { taskId: "", bare };
  return { taskId: identifier(base.value ?? "", "sandbox.task_id"), bare };
}

export function decodeExecute(request: ExecuteRequest): ExecuteCall & { readonly fromOffset: number } {
  return {
    trajectoryId: trajectoryId(request.trajectoryId),
    callId: identifier(request.callId, "call_id"),
    step: request.step,
    tool: request.tool,
    argumentsJson: request.argumentsJson,
    timeoutMs: request.timeoutMs,
    fromOffset: whole(request.fromOffset, "from_offset"),
  };
}

export function decodeStep(request: StepRequest): StepCall {
  return {
    trajectoryId: trajectoryId(request.trajectoryId),
    callId: identifier(request.callId, "call_id"),
    turn: request.turn,
    action: decodeAction(request),
  };
}

function decodeAction({ action, format }: StepRequest): StepCall["action"] {
  switch (action.case) {
    case "text":
      return { type: "text", text: action.value, format };
    case "calls": {
      if (format !== "") throw invalid("format", "nothing beside `calls`: it says how `text` is written", format);
      const calls = action.value.calls.map(({ id, name, argumentsJson }) => ({ id, name, argumentsJson }));
      return { type: "calls", calls };
    }
    default:
      throw invalid("calls", "what the assistant did: `calls`, possibly an empty list of them, or `text`", "nothing");
  }
}

export type GradeSubject =
  | { readonly type: "trajectory"; readonly call: Parameters<Rollouts["gradeTrajectory"]>[0] }
  | { readonly type: "patch"; readonly call: Parameters<Rollouts["gradePatch"]>[0] };

export function decodeGrade({ subject, finalize, callId: id }: GradeRequest): GradeSubject {
  const callId = optional(id, "call_id");
  switch (subject.case) {
    case "trajectoryId":
      return { type: "trajectory", call: { trajectoryId: trajectoryId(subject.value), finalize, callId } };
    case "submission": {
      if (finalize) throw invalid("finalize", "false with a bare patch, which has no trajectory to end", "true");
      const { taskId, patch, gradeMs } = subject.value;
      return { type: "patch", call: { taskId: identifier(taskId, "submission.task_id"), patch, gradeMs, callId } };
    }
    default:
      throw invalid("trajectory_id", "trajectory_id or submission", "neither");
  }
}

export function decodeRelease(request: ReleaseRequest): Parameters<Rollouts["release"]>[0] {
  return {
    trajectoryIds: identifiers(request.trajectoryIds, "trajectory_ids"),
    attemptIds: identifiers(request.attemptIds, "attempt_ids"),
    labels: decodeLabels(request.labels),
  };
}

/** A name alone: files of this host are for whoever wrote its configuration. */
function imageName(value: string): string {
  const name = identifier(value, "sandbox.image");
  if (/^[A-Za-z0-9][\w.:/@-]*$/.test(name) && !/:\/|^(?:oci|docker-archive):/.test(name)) return name;
  throw invalid("sandbox.image", "the name of an image, as of a registry", JSON.stringify(name));
}

/** Required, 1 to 200 characters, no NUL. */
export function identifier(value: string, field: string): string {
  if (value === "") throw invalid(field, `1 to ${MAX_ID} characters`, "nothing");
  return optional(value, field);
}

export function identifiers(values: readonly string[], field: string): readonly string[] {
  if (values.length > MAX_IDS) throw invalid(field, `at most ${MAX_IDS} of them`, `${values.length}`);
  return values.map((value) => identifier(value, field));
}

/** Of the only form that this server gives out: another one is nobody's, and no path is ever made of it. */
export function trajectoryId(value: string): string {
  const id = identifier(value, "trajectory_id");
  if (isTrajectoryId(id)) return id;
  throw new SandlotError("not_found", `There is no trajectory ${JSON.stringify(id)}`, { field: "trajectory_id" });
}

export function isTrajectoryId(value: string): boolean {
  return /^sandlot-[A-Za-z0-9]{1,32}-[0-9a-f]{32}$/.test(value);
}

function optional(value: string, field: string): string {
  if (value.length > MAX_ID) throw invalid(field, `at most ${MAX_ID} characters`, `${value.length}`);
  if (value.includes("\0")) throw invalid(field, "text without NUL", "a NUL");
  return value;
}

function decodeGroup({ id, size }: { readonly id: string; readonly size: number }): Group {
  return { id: identifier(id, "group.id"), size };
}

function decodeLabels(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const entries = Object.entries(labels);
  if (entries.length > MAX_LABELS) throw invalid("labels", `at most ${MAX_LABELS} of them`, `${entries.length}`);
  for (const [name, value] of entries) {
    if (name === "") throw invalid("labels", "a name for each of them", "an empty name");
    const longest = Math.max(Buffer.byteLength(name), Buffer.byteLength(value));
    if (longest > MAX_LABEL_BYTES) throw invalid("labels", `at most ${MAX_LABEL_BYTES} bytes each`, `${longest}`);
    if (name.includes("\0") || value.includes("\0")) throw invalid("labels", "text without NUL", "a NUL");
  }
  return labels;
}

/** 0 = the server's default, so it is left out. */
function decodeLimits(limits: Limits | undefined): Partial<TrajectoryLimits> {
  if (!limits) return {};
  const { maxSteps, maxTurns, wallMs, commandMs, noOutputMs, outputBytes, cpuMilli, pids, gradeMs } = limits;
  const { memoryMib: memoryMiB, diskMib: diskMiB } = limits;
  const asked: TrajectoryLimits = {
    ...{ maxSteps, maxTurns, wallMs, commandMs, noOutputMs, outputBytes },
    ...{ memoryMiB, cpuMilli, pids, diskMiB, gradeMs },
  };
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== 0));
}

/** A value of a later version of the wire is taken as not set. */
function feedback(value: Feedback): CreateCall["submitFeedback"] {
  if (value === Feedback.VERDICT) return "VERDICT";
  return value === Feedback.COUNTS ? "COUNTS" : "NONE";
}

/** An offset or a size. */
export function whole(value: bigint, field: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid(field, "less than 2^53", `${value}`);
  return Number(value);
}

export function absolute(path: string, field: string): string {
  if (!path.startsWith("/")) throw invalid(field, "an absolute path", JSON.stringify(path.slice(0, 200)));
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) throw invalid(field, `at most ${MAX_PATH_BYTES} bytes`, "more");
  if (path.includes("\0")) throw invalid(field, "text without NUL", "a NUL");
  return path;
}

export function decodeEnv(env: Readonly<Record<string, string>>, field: string): Readonly<Record<string, string>> {
  for (const [name, value] of Object.entries(env)) {
    if (name === "" || name.includes("=")) throw invalid(field, "names without =", JSON.stringify(name.slice(0, 100)));
    if (name.includes("\0") || value.includes("\0")) throw invalid(field, "text without NUL", "a NUL");
  }
  return env;
}

export function invalid(field: string, expected: string, got: string): SandlotError {
  return new SandlotError("invalid", `${field}: expected ${expected}, got ${got}`, { field });
}
