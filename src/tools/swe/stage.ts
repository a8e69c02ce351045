import type { SeedStatus } from "../../seeds/result.ts";
import { BUDGETS, type Budgets } from "../../seeds/stages.ts";
import { showOutput } from "../text.ts";
import type { ToolCall, ToolResult } from "../tool.ts";

export interface Stage {
  readonly name: Exclude<keyof Budgets, "run">;
  /** For `bash -c`, in the repository, with the sandbox's own environment. */
  readonly script: string;
  readonly args?: readonly string[];
  readonly stdin?: string;
  /** The word for an exit code. */
  readonly ending: (exitCode: number) => SeedStatus | "cloned" | "installed" | "patched";
}

/** Runs a stage within its budget, or the step's time-out where that is less. What the policy reads ends with how the stage ended, in brackets and in the words of seeds. */
export async function runStage({ name, script, args = [], stdin, ending }: Stage, call: ToolCall): Promise<ToolResult> {
  const timeoutMs = Math.min(BUDGETS[name], call.timeoutMs);
  const result = await call.sandbox.exec(["bash", "--noprofile", "--norc", "-c", script, `swe_${name}`, ...args], {
    ...(stdin === undefined ? {} : { stdin: Buffer.from(stdin) }),
    timeoutMs,
    noOutputTimeoutMs: call.noOutputTimeoutMs,
    keepBytes: call.keepBytes,
  });
  const { text, cut } = showOutput(result.output, result.outputBytes, { limitBytes: call.outputBytes });
  const how = result.timedOut
    ? `${name}_timeout: ended after ${timeoutMs / 1000} s, with all its processes`
    : result.interrupted
      ? `${name} was interrupted`
      : result.exitCode === undefined
        ? `${ending(128)}: killed by signal ${result.signal}`
        : ending(result.exitCode);
  const lines = [...(result.note === undefined ? [] : [result.note]), how].map((line) => `[${line}]\n`).join("");
  return {
    kind: result.interrupted ? "INTERRUPTED" : result.timedOut ? "TIMED_OUT" : "OK",
    text: `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${lines}`,
    state: call.state,
    ...(result.exitCode === undefined ? {} : { exitCode: result.exitCode }),
    ...(result.signal === undefined ? {} : { signal: result.signal }),
    outputBytes: result.outputBytes,
    truncated: cut,
    oomKills: result.oomKills,
    commandMs: result.durationMs,
    output: result.output,
  };
}

/** Any Python of the environment. */
export const FIND_PYTHON = `python=$(command -v python || command -v python3) || { echo "there is no python" >&2; exit 3; }`;
