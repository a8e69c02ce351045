import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { PoolStatusSchema, PrepareEventSchema } from "../gen/sandlot/v1/rollout_service_pb.ts";
import {
  type BudgetSchema,
  type ChatMessageSchema,
  type LimitsSchema,
  ResultKind,
  type ResultSchema,
  type ToolSchemaSchema,
  type TrajectorySchema,
  type TurnSchema,
  Ending as WireEnding,
  Enforcement as WireEnforcement,
  State as WireState,
} from "../gen/sandlot/v1/trajectory_pb.ts";
import type { Enforced } from "../sandbox/sandbox.ts";
import type { ToolSchema } from "../tools/tool.ts";
import type {
  Budget,
  PoolUse,
  PrepareProgress,
  StepResult,
  Summary,
  TrajectoryLimits,
  TurnResult,
} from "../trajectory/rollouts.ts";
import { wireName } from "../trajectory/wire-name.ts";
import type { Scopes } from "./authorize.ts";
import { encodeGrade, encodeTimings, uint32 } from "./encode-grade.ts";

/** Plain data as messages. Names of hidden tests leave only with scope `hidden`. */

export function encodeTrajectory(summary: Summary, scopes: Scopes): MessageInitShape<typeof TrajectorySchema> {
  const { id, taskId, attemptId, pool, group, labels, state, ending, grade, leaseUntil } = summary;
  return {
    ...{ id, taskId, attemptId, pool, labels },
    ...(group && { group }),
    state: WireState[state],
    ...(ending && { ending: WireEnding[ending] }),
    messages: summary.messages.map(encodeMessage),
    tools: summary.tools.map(encodeTool),
    limits: encodeLimits(summary.limits, summary.enforced),
    lastStep: summary.lastStep,
    ...(grade && { grade: encodeGrade(grade, scopes) }),
    createdAt: timestampFromDate(summary.createdAt),
    ...(leaseUntil && { leaseUntil: timestampFromDate(leaseUntil) }),
    timings: encodeTimings(summary.timings),
    environmentDigest: summary.environmentKey,
    recordUri: summary.recordUri,
    workdir: summary.workdir,
    left: encodeBudget(summary.left),
    harnessCalls: summary.harnessCalls,
    bare: summary.bare,
  };
}

export function encodeResult(result: StepResult, scopes: Scopes): MessageInitShape<typeof ResultSchema> {
  const { step, callId, tool, text, kind, exitCode, outputTruncated, terminated, truncated, grade, replayed } = result;
  return {
    ...{ step, callId, tool, text, outputTruncated, terminated, truncated, replayed },
    kind: ResultKind[kind],
    ...(exitCode !== undefined && { exitCode }),
    signal: result.signal ?? 0,
    outputBytes: BigInt(Math.trunc(result.outputBytes)),
    spillPath: result.spillPath ?? "",
    oomKills: result.oomKills,
    timeoutMs: result.timeoutMs,
    ...(grade && { grade: encodeGrade(grade, scopes) }),
    left: encodeBudget(result.left),
    timings: encodeTimings(result.timings),
  };
}

export function encodeTurn(turn: TurnResult, scopes: Scopes): MessageInitShape<typeof TurnSchema> {
  const { reward, terminated, truncated, grade, replayed } = turn;
  return {
    ...{ turn: turn.turn, terminated, truncated, replayed },
    observations: turn.observations.map(encodeMessage),
    results: turn.results.map((result) => encodeResult(result, scopes)),
    parseError: turn.parseError ?? "",
    ...(reward !== undefined && { reward }),
    ...(grade && { grade: encodeGrade(grade, scopes) }),
    left: encodeBudget(turn.left),
  };
}

interface Message {
  readonly role: string;
  readonly content: string;
  readonly toolCallId?: string;
  readonly name?: string;
}

export function encodeMessage({
  role,
  content,
  toolCallId,
  name,
}: Message): MessageInitShape<typeof ChatMessageSchema> {
  return { role, content, toolCallId: toolCallId ?? "", name: name ?? "" };
}

export function encodeTool(schema: ToolSchema): MessageInitShape<typeof ToolSchemaSchema> {
  return { name: schema.function.name, openaiJson: JSON.stringify(schema) };
}

export function encodeLimits(limits: TrajectoryLimits, enforced: Enforced): MessageInitShape<typeof LimitsSchema> {
  const { memoryMiB: memoryMib, diskMiB: diskMib, ...same } = limits;
  return { ...counted({ ...same, memoryMib, diskMib }), enforced: encodeEnforced(enforced) };
}

export function encodeEnforced(enforced: Enforced): Record<string, WireEnforcement> {
  const words = Object.entries(enforced).map(([name, how]: [string, Enforced["pids"]]) => {
    return [wireName(name), WireEnforcement[how]] as const;
  });
  return Object.fromEntries(words);
}

export function encodePool({ slots, used, queued }: PoolUse): MessageInitShape<typeof PoolStatusSchema> {
  return counted({ slots, used, queued });
}

export function encodePrepare(progress: PrepareProgress): MessageInitShape<typeof PrepareEventSchema> {
  const { taskId, stage, message, environmentKey, done, fault, prepareMs } = progress;
  return {
    ...{ taskId, stage, message, done },
    environmentDigest: environmentKey ?? "",
    fault: fault ?? "",
    prepareMs: uint32(prepareMs),
  };
}

function encodeBudget({ steps, turns, wallMs }: Budget): MessageInitShape<typeof BudgetSchema> {
  return counted({ steps, turns, wallMs });
}

function counted<T extends Readonly<Record<string, number>>>(numbers: T): { [K in keyof T]: number } {
  const entries = Object.entries(numbers).map(([name, value]) => [name, uint32(value)] as const);
  return Object.fromEntries(entries) as { [K in keyof T]: number }; // the same keys, by construction
}
