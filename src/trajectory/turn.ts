import { createHash } from "node:crypto";
import { feedbackAfterTurn } from "../tools/feedback.ts";
import { readCalls } from "../tools/formats/table.ts";
import { schemasOf } from "../tools/table.ts";
import { exhausted } from "./budget.ts";
import type { Life } from "./life.ts";
import type { TurnIntent, TurnOutcome } from "./lines.ts";
import { LiveOutput } from "./live-output.ts";
import type { Action, StepResult, TurnCall, TurnResult } from "./rollouts.ts";
import { afterFinal, runStep, storedStep } from "./step.ts";
import { PrefixedSandbox } from "./step-sandbox.ts";

export interface TurnWork {
  readonly key: string;
  readonly callId: string;
  readonly digest: string;
  readonly asked: Asked;
  readonly arrivedAt: number;
}

/** What a turn is to do, as the journal keeps it. */
export type Asked = Pick<TurnIntent, "calls" | "said" | "parseError">;

export function turnDigest(action: Action): string {
  const content =
    action.type === "text"
      ? [action.format, action.text]
      : action.calls.map(({ id, name, argumentsJson }) => [id, name, argumentsJson]);
  return createHash("sha256").update(JSON.stringify(content)).digest("hex");
}

/** Reads the calls where they are written in text; faults as `readCalls`. */
export function asked(action: Action, tools: readonly string[]): Asked {
  if (action.type === "calls") return { calls: action.calls };
  const { text, format } = action;
  const found = readCalls(format, text, schemasOf(tools));
  const said = { text, format };
  return found.type === "calls" ? { calls: found.calls, said } : { calls: [], said, parseError: found.problem };
}

/** Runs the tool calls of one assistant turn in order, then the feedback of the task's policy. Calls after one that ended the task are not run. */
export async function runTurn(life: Life, work: TurnWork): Promise<TurnResult> {
  const known = life.ledger.entries.get(work.key);
  if (known?.answer) return storedTurn(life, known.answer);
  if (!known && life.ledger.final) return refusedTurn(life, work, afterFinal(life, { ...work, tool: "" }));
  if (!known && life.meter.left().turns === 0) return refusedTurn(life, work, undefined);
  const intent = known ? (known.intent as TurnIntent) : begin(life, work);
  const results: StepResult[] = [];
  const keys: string[] = [];
  for (const [index, call] of intent.calls.entries()) {
    const key = `t${intent.turn}.${index}`;
    const { name: tool, argumentsJson } = call;
    const callId = `${work.callId}/${index}`;
    const output = new LiveOutput();
    const result = await runStep(life, {
      key,
      callId,
      tool,
      argumentsJson,
      timeoutMs: 0,
      arrivedAt: performance.now(),
      output,
    });
    results.push(result);
    keys.push(key);
    if (result.terminated || life.ending.aborted) break;
  }
  const answered = results.map((result, index) => toolMessage(result, intent.calls[index]));
  const unread = intent.parseError === undefined ? [] : [{ role: "user" as const, content: intent.parseError }];
  const said = results.some((result) => result.terminated) ? [] : await feedback(life, intent);
  return finish(life, intent, { results, keys, observations: [...answered, ...unread, ...said] });
}

function begin(life: Life, { key, callId, digest, asked }: TurnWork): TurnIntent {
  const turn = life.ledger.turns + 1;
  const intent: TurnIntent = { type: "turn", at: Date.now(), key, digest, turn, callId, ...asked };
  life.write(intent);
  return intent;
}

async function feedback(life: Life, intent: TurnIntent): Promise<TurnResult["observations"]> {
  const { sandbox, task, ledger } = life;
  if (!sandbox || !task || ledger.broken) return [];
  const prefix = `f${intent.turn}`;
  const text = await feedbackAfterTurn(task.agent, {
    calledTool: intent.calls.length > 0 || intent.parseError !== undefined,
    sandbox: new PrefixedSandbox(sandbox, prefix),
    timeoutMs: ledger.created.limits.commandMs,
    outputBytes: ledger.created.limits.outputBytes,
  });
  sandbox.acknowledge(prefix);
  return text === undefined ? [] : [{ role: "user", content: text }];
}

interface Done {
  readonly results: readonly StepResult[];
  /** Of the steps, in the same order. */
  readonly keys: readonly string[];
  readonly observations: TurnResult["observations"];
}

function finish(life: Life, { key, turn, parseError }: TurnIntent, { results, keys, observations }: Done): TurnResult {
  const left = life.meter.left();
  const terminated = results.some((result) => result.terminated);
  const reward = life.ledger.final?.grade.reward;
  const stored: TurnOutcome["turn"] = {
    turn,
    observations,
    ...(parseError === undefined ? {} : { parseError }),
    ...(terminated && reward !== undefined ? { reward } : {}),
    terminated,
    truncated: !terminated && exhausted(left),
    left,
  };
  const journalled = keys.filter((step) => life.ledger.entries.has(step));
  life.write({ type: "turn_result", at: Date.now(), key, turn: stored, steps: journalled });
  return { ...stored, results, ...gradeOf(results), replayed: false };
}

function storedTurn(life: Life, position: Parameters<Life["read"]>[0]): TurnResult {
  const line = life.read(position) as TurnOutcome; // the ledger pairs the key with it
  const answers = line.steps.map((key) => life.ledger.entries.get(key)?.answer);
  const results = answers.flatMap((answer) => (answer ? [storedStep(life, answer)] : []));
  return { ...line.turn, results, ...gradeOf(results), replayed: true };
}

/** A turn past the end of the task or of the budget: every call gets an observation, nothing runs, nothing changes. */
function refusedTurn(life: Life, work: TurnWork, final: StepResult | undefined): TurnResult {
  const text = final?.text ?? `Nothing was run: all ${life.ledger.created.limits.maxTurns} turns are used.`;
  const reward = final?.grade?.reward;
  return {
    turn: life.ledger.turns,
    observations:
      work.asked.calls.length === 0
        ? [{ role: "user", content: text }]
        : work.asked.calls.map(({ id, name }) => ({ role: "tool", content: text, toolCallId: id, name })),
    results: [],
    ...(reward === undefined ? {} : { reward }),
    terminated: final !== undefined,
    truncated: final === undefined,
    ...(final?.grade ? { grade: final.grade } : {}),
    left: life.meter.left(),
    replayed: false,
  };
}

function toolMessage(result: StepResult, call: TurnCall | undefined): TurnResult["observations"][number] {
  return { role: "tool", content: result.text, toolCallId: call?.id ?? "", name: call?.name ?? result.tool };
}

function gradeOf(results: readonly StepResult[]): Pick<TurnResult, "grade"> {
  const grade = results.findLast((result) => result.grade !== undefined)?.grade;
  return grade ? { grade } : {};
}
