import { createHash } from "node:crypto";
import { SandlotError } from "../errors.ts";
import { callTool, isSubmit } from "../tools/table.ts";
import type { ToolResult } from "../tools/tool.ts";
import { exhausted, spent } from "./budget.ts";
import { type FinalGrade, finalize, type Taken, take } from "./final-grade.ts";
import type { Life } from "./life.ts";
import { type StepIntent, type StepOutcome, storeChunks } from "./lines.ts";
import type { LiveOutput } from "./live-output.ts";
import type { StepResult } from "./rollouts.ts";
import { PrefixedSandbox } from "./step-sandbox.ts";

/** One tool call, as it came. */
export interface StepWork {
  /** Key in the ledger. */
  readonly key: string;
  readonly callId: string;
  readonly tool: string;
  readonly argumentsJson: string;
  /** 0 = the trajectory's. */
  readonly timeoutMs: number;
  /** performance.now() when the call came. */
  readonly arrivedAt: number;
  readonly output: LiveOutput;
}

/** One more character than any tool takes: what is longer is a mistake of the model's that need not fill the journal. */
const LONGEST_ARGUMENTS = (1 << 20) + 1;
const LONGEST_NAME = 200;

export function stepDigest(work: Pick<StepWork, "tool" | "argumentsJson" | "timeoutMs">): string {
  return createHash("sha256")
    .update(JSON.stringify([work.tool, work.argumentsJson, work.timeoutMs]))
    .digest("hex");
}

/**
 * Runs a tool call to its end and journals it: intent, dispatch, outcome. A call whose intent is in the ledger already (the server died in between) is carried on over what the sandbox kept.
 * Past the budget nothing is journalled and no step is used.
 */
export async function runStep(life: Life, work: StepWork): Promise<StepResult> {
  try {
    return await runOnce(life, work);
  } finally {
    life.running = undefined;
    work.output.finish();
  }
}

async function runOnce(life: Life, work: StepWork): Promise<StepResult> {
  const known = life.ledger.entries.get(work.key);
  if (known?.answer) return storedStep(life, known.answer);
  if (life.ledger.final && !known) return afterFinal(life, work);
  const why = known ? undefined : spent(life.meter.left(), life.ledger.created.limits);
  if (why) return outOfBudget(life, work, why);
  const intent = known ? (known.intent as StepIntent) : begin(life, work);
  return isSubmit(life.ledger.created.tools, intent.tool)
    ? await submit(life, intent, work)
    : await run(life, intent, work);
}

/** The stored result of an answered step. */
export function storedStep(life: Life, position: Parameters<Life["read"]>[0]): StepResult {
  const line = life.read(position) as StepOutcome; // the ledger pairs the key with it
  return { ...line.result, ...gradeOf(life, line.result.kind === "DONE"), replayed: true };
}

/** Any call after the end of the task: the verdict as an observation; nothing changes. */
export function afterFinal(life: Life, work: Pick<StepWork, "callId" | "tool" | "arrivedAt">): StepResult {
  const text = `This trajectory has been submitted. ${verdictText(life)}`.trimEnd();
  return unjournalled(life, work, "DONE", text);
}

function begin(life: Life, work: StepWork): StepIntent {
  const { callId, key, tool, argumentsJson, timeoutMs, arrivedAt } = work;
  const intent: StepIntent = {
    type: "step",
    at: Date.now(),
    key,
    digest: stepDigest(work),
    step: life.ledger.lastStep + 1,
    callId,
    tool: tool.slice(0, LONGEST_NAME),
    argumentsJson: argumentsJson.slice(0, LONGEST_ARGUMENTS),
    timeoutMs,
    queuedMs: Math.round(performance.now() - arrivedAt),
  };
  life.write(intent);
  return intent;
}

async function run(life: Life, intent: StepIntent, work: StepWork): Promise<StepResult> {
  const { sandbox } = life;
  if (!sandbox) throw new SandlotError("sandbox", "the sandbox of this trajectory is gone");
  const prefix = `s${intent.step}`;
  const step = new PrefixedSandbox(sandbox, prefix, work.output);
  work.output.begin();
  life.running = { key: intent.key, callId: intent.callId, sandbox: step };
  const { limits, tools } = life.ledger.created;
  const timeoutMs = Math.min(
    intent.timeoutMs || limits.commandMs,
    limits.commandMs,
    Math.max(1000, life.meter.left().wallMs),
  );
  const call = {
    sandbox: step,
    state: life.ledger.toolState,
    timeoutMs,
    noOutputTimeoutMs: limits.noOutputMs,
    outputBytes: limits.outputBytes,
    ...life.caps,
  };
  const result = life.ledger.broken
    ? brokenResult(life)
    : await callTool(tools, intent.tool, intent.argumentsJson, call);
  const broken = life.ledger.broken || !(await intact(life, result));
  const answer = finish(life, intent, work, { result, timeoutMs, sandboxMs: step.spentMs, broken });
  sandbox.acknowledge(prefix);
  return answer;
}

async function submit(life: Life, intent: StepIntent, work: StepWork): Promise<StepResult> {
  life.running = { key: intent.key, callId: intent.callId };
  const taken = await takeEarly(life);
  const excess = taken && life.judge.excess?.(taken.submission);
  const still = { timeoutMs: 0, sandboxMs: 0, broken: false };
  if (excess !== undefined) {
    const text = `Not submitted: the change is larger than what is taken here: ${excess}. Make it smaller and submit again.`;
    return finish(life, intent, work, { ...still, result: { ...nothing(life), kind: "TOOL_ERROR", text } });
  }
  const final = await finalize(life, { submitted: true, taken });
  const result: ToolResult = { ...nothing(life), kind: "OK", text: `Submitted. ${verdictText(life)}` };
  return finish(life, intent, work, { ...still, result, final });
}

/** Where guardrails may send a submission back, it is read before anything is final. */
async function takeEarly(life: Life): Promise<Taken | undefined> {
  const { judge, ledger, ending, sandbox } = life;
  if (!judge.excess || ledger.finalIntent || ending.aborted || !sandbox) return undefined;
  return take(life).catch((error: unknown) => {
    if (ending.aborted) return undefined; // the final grade says that it was cancelled
    throw error;
  });
}

interface Outcome {
  readonly result: ToolResult;
  /** That the command had; 0 = it had none. */
  readonly timeoutMs: number;
  readonly sandboxMs: number;
  readonly broken: boolean;
  readonly final?: FinalGrade;
}

function finish(
  life: Life,
  intent: StepIntent,
  work: StepWork,
  { result, timeoutMs, sandboxMs, broken, final }: Outcome,
): StepResult {
  const left = life.meter.left();
  const terminated = broken || final !== undefined;
  const gradeMs = final?.grade.timings
    ? Math.round(Object.values(final.grade.timings).reduce((sum, ms) => sum + ms, 0))
    : 0;
  const stored: StepOutcome["result"] = {
    step: intent.step,
    callId: intent.callId,
    tool: intent.tool,
    text: broken && !life.ledger.broken ? `${result.text}\n${BROKEN}` : result.text,
    kind: final ? "DONE" : result.kind,
    ...(result.exitCode === undefined ? {} : { exitCode: result.exitCode }),
    ...(result.signal === undefined ? {} : { signal: result.signal }),
    outputBytes: result.outputBytes,
    outputTruncated: result.truncated,
    ...(result.spillPath === undefined ? {} : { spillPath: result.spillPath }),
    oomKills: result.oomKills,
    timeoutMs: Math.round(timeoutMs),
    terminated,
    truncated: !terminated && exhausted(left),
    left,
    timings: {
      queuedMs: intent.queuedMs,
      prepareMs: 0,
      sandboxMs: Math.max(0, Math.round(sandboxMs - result.commandMs)),
      commandMs: Math.round(result.commandMs),
      gradeMs,
      serverMs: Math.round(performance.now() - work.arrivedAt),
    },
  };
  const changed = result.state !== life.ledger.toolState;
  life.write({
    type: "result",
    at: Date.now(),
    key: intent.key,
    result: stored,
    ...(changed ? { state: result.state } : {}),
    ...(broken ? { broken: true as const } : {}),
    output: storeChunks(result.output),
  });
  return { ...stored, ...gradeOf(life, final !== undefined), replayed: false };
}

export const BROKEN = "[the sandbox was destroyed by its own processes: nothing can run in it any more]";

/** Looks at the sandbox only when the result is one that a dead sandbox gives. */
export async function intact(life: Life, result: Pick<ToolResult, "signal" | "exitCode">): Promise<boolean> {
  if (result.signal === undefined && result.exitCode !== 126) return true;
  return life.sandbox ? life.sandbox.alive() : false;
}

function brokenResult(life: Life): ToolResult {
  return { ...nothing(life), kind: "TOOL_ERROR", text: BROKEN };
}

function nothing(life: Life): Omit<ToolResult, "kind" | "text"> {
  return { state: life.ledger.toolState, outputBytes: 0, truncated: false, oomKills: 0, commandMs: 0, output: [] };
}

function outOfBudget(life: Life, work: StepWork, why: string): StepResult {
  return unjournalled(life, work, "OUT_OF_BUDGET", `Nothing was run: ${why}.`);
}

function unjournalled(
  life: Life,
  work: Pick<StepWork, "callId" | "tool" | "arrivedAt">,
  kind: "DONE" | "OUT_OF_BUDGET",
  text: string,
): StepResult {
  const serverMs = Math.round(performance.now() - work.arrivedAt);
  return {
    step: life.ledger.lastStep,
    callId: work.callId,
    tool: work.tool,
    text,
    kind,
    outputBytes: 0,
    outputTruncated: false,
    oomKills: 0,
    timeoutMs: 0,
    terminated: kind === "DONE",
    truncated: kind === "OUT_OF_BUDGET",
    ...gradeOf(life, kind === "DONE"),
    left: life.meter.left(),
    timings: { queuedMs: 0, prepareMs: 0, sandboxMs: 0, commandMs: 0, gradeMs: 0, serverMs },
    replayed: false,
  };
}

function gradeOf(life: Life, wanted: boolean): { grade?: FinalGrade["grade"] & { submitted: boolean } } {
  const { final } = life.ledger;
  return wanted && final ? { grade: { ...final.grade, submitted: final.submitted } } : {};
}

/** As much as the client wants the policy to know. */
function verdictText(life: Life): string {
  const { final, created } = life.ledger;
  if (!final || created.call.submitFeedback === "NONE") return "";
  if (final.grade.reward === undefined) return "There is no verdict.";
  const word = final.grade.reward === 1 ? "Resolved." : "Not resolved.";
  if (created.call.submitFeedback === "VERDICT") return word;
  const counts = Object.entries(final.grade.tests).map(
    ([group, { passed, failed }]) => `${group}: ${passed} passed, ${failed} failed.`,
  );
  return [word, ...counts].join(" ");
}
