import type { ToolSchema } from "../tool.ts";
import { type Format, named, type OneCall, plainArguments, reading } from "./format.ts";
import { blocks, cut } from "./scan.ts";

/** `<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>...</tool_call>`: GLM 4.5 and later. */
export const glm: Format = {
  name: "glm",
  read: (text, tools) =>
    reading(blocks(text, "<tool_call>", "</tool_call>").map(({ inside }) => readCall(inside, tools))),
};

function readCall(inside: string, tools: readonly ToolSchema[]): OneCall | string {
  const start = inside.indexOf("<arg_key>");
  const name = inside.slice(0, start < 0 ? undefined : start);
  const pairs: [string, string][] = [];
  for (const { inside: pair, unclosed } of blocks(inside, "<arg_key>", "</arg_value>")) {
    const [key = "", rest = ""] = cut(pair, "</arg_key>") ?? [];
    const [, value] = cut(rest, "<arg_value>") ?? [];
    if (unclosed || value === undefined)
      return "expected an <arg_value>VALUE</arg_value> after each <arg_key>KEY</arg_key>";
    pairs.push([key.trim(), value]);
  }
  return named(name, plainArguments(name, pairs, tools));
}
