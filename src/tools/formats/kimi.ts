import { type Format, named, type OneCall, reading } from "./format.ts";
import { blocks, cut } from "./scan.ts";

const ARGUMENTS = "<|tool_call_argument_begin|>";

/** `<|tool_call_begin|>functions.NAME:0<|tool_call_argument_begin|>{...}<|tool_call_end|>`: Kimi K2. */
export const kimi: Format = {
  name: "kimi",
  read: (text) =>
    reading(blocks(text, "<|tool_call_begin|>", "<|tool_call_end|>").map(({ inside }) => readCall(inside))),
};

function readCall(inside: string): OneCall | string {
  const [head, json] = cut(inside, ARGUMENTS) ?? [];
  if (head === undefined || json === undefined) return `expected ${ARGUMENTS} between the name and the arguments`;
  const id = head.trim();
  const call = named(id.replace(/^functions\./, "").replace(/:\d+$/, ""), json);
  return typeof call === "string" ? call : { id, ...call };
}
