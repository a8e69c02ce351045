import { SandlotError } from "../../errors.ts";
import type { ToolSchema } from "../tool.ts";
import { deepseek } from "./deepseek.ts";
import { type Format, problem, type Reading } from "./format.ts";
import { qwen3Coder, r2e } from "./function-xml.ts";
import { glm } from "./glm.ts";
import { gptOss } from "./gpt-oss.ts";
import { hermes } from "./hermes.ts";
import { kimi } from "./kimi.ts";
import { llama3Json } from "./llama3-json.ts";
import { miniSweAgent } from "./mini-swe-agent.ts";
import { mistral } from "./mistral.ts";
import { afterThinking } from "./scan.ts";

/** Every format there is; a new one is a file and a line here. Names are those of verl's and vLLM's parsers where these have one. */
const FORMATS: ReadonlyMap<string, Format> = new Map(
  [hermes, qwen3Coder, llama3Json, mistral, deepseek, glm, kimi, gptOss, miniSweAgent, r2e].map((format) => [
    format.name,
    format,
  ]),
);

export const FORMAT_NAMES: readonly string[] = [...FORMATS.keys()];
/** What no model writes in one message. */
const MAX_CHARACTERS = 4 << 20;

/** The tool calls in a model's text; faults `invalid` for a format that there is not and for a text beyond 4 Mi characters. */
export function readCalls(format: string, text: string, tools: readonly ToolSchema[]): Reading {
  const found = FORMATS.get(format);
  if (!found) {
    const message = `format: expected one of ${FORMAT_NAMES.join(", ")}, got ${JSON.stringify(format.slice(0, 100))}`;
    throw new SandlotError("invalid", message, { field: "format" });
  }
  if (text.length > MAX_CHARACTERS) {
    const message = `text: expected at most ${MAX_CHARACTERS} characters, got ${text.length}`;
    throw new SandlotError("invalid", message, { field: "text" });
  }
  const said = afterThinking(text);
  return said === undefined ? problem("the message ends before its reasoning does") : found.read(said, tools);
}
