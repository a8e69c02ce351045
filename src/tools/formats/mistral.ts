import { callOf, type Format, named, type OneCall, reading } from "./format.ts";
import { cut, jsonEnd } from "./scan.ts";

const MARK = "[TOOL_CALLS]";

/** `[TOOL_CALLS][{"name": ..., "arguments": {...}}, ...]`, and of the later tokenizers `[TOOL_CALLS]NAME[ARGS]{...}`, with or without `[ARGS]`. */
export const mistral: Format = {
  name: "mistral",
  read: (text) => reading(text.split(MARK).slice(1).flatMap(readMark)),
};

function readMark(text: string): readonly (OneCall | string)[] {
  const rest = text.trimStart();
  return rest.startsWith("[") ? readList(rest) : [readNamed(rest)];
}

function readList(text: string): readonly (OneCall | string)[] {
  const end = jsonEnd(text, 0);
  try {
    const value: unknown = JSON.parse(text.slice(0, end < 0 ? undefined : end));
    return Array.isArray(value) ? value.map(callOf) : ["expected a list of calls"];
  } catch (error) {
    return [`expected a JSON list of calls after ${MARK}, got text that is not JSON: ${(error as Error).message}`]; // JSON.parse throws nothing else
  }
}

function readNamed(text: string): OneCall | string {
  const start = text.indexOf("{");
  if (start < 0) return `expected NAME[ARGS]{...} after ${MARK}, got no arguments`;
  const end = jsonEnd(text, start);
  const head = text.slice(0, start);
  const [name] = cut(head, "[CALL_ID]") ?? cut(head, "[ARGS]") ?? [head];
  return named(name, text.slice(start, end < 0 ? undefined : end));
}
