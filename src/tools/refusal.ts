import { capText } from "./text.ts";
import type { ToolCall, ToolResult } from "./tool.ts";

/** A model's mistake, as an observation: nothing was changed. */
export function refusal(text: string, call: Pick<ToolCall, "state" | "outputBytes">): ToolResult {
  return { ...answer(text, call), kind: "TOOL_ERROR" };
}

/** The result of a tool that ran no command of the policy. */
export function answer(text: string, { state, outputBytes }: Pick<ToolCall, "state" | "outputBytes">): ToolResult {
  return {
    kind: "OK",
    text: capText(text, outputBytes),
    state,
    outputBytes: Buffer.byteLength(text),
    truncated: false,
    oomKills: 0,
    commandMs: 0,
    output: [],
  };
}
