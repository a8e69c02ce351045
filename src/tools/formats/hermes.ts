import { type Format, jsonCall, reading } from "./format.ts";
import { blocks } from "./scan.ts";

/** `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, as Hermes, Qwen 2.5 and Qwen 3 write it. */
export const hermes: Format = {
  name: "hermes",
  read: (text) => reading(blocks(text, "<tool_call>", "</tool_call>").map(({ inside }) => jsonCall(inside))),
};
