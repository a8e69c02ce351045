import type { ToolSchema } from "../tool.ts";
import { type Format, named, type OneCall, plainArguments, reading } from "./format.ts";
import { blocks, cut, trimLine } from "./scan.ts";

/** `<function=NAME><parameter=KEY>VALUE</parameter></function>`, with or without `<tool_call>` around it: Qwen 3 Coder. */
export const qwen3Coder: Format = {
  name: "qwen3_coder",
  read: (text, tools) => reading(functions(text).map((inside) => readFunction(inside, tools, trimLine))),
};

/** The same as R2E-Gym's agents use it: one call a message, the first; values without the blanks around them. */
export const r2e: Format = {
  name: "r2e",
  read: (text, tools) =>
    reading(
      functions(text)
        .slice(0, 1)
        .map((inside) => readFunction(inside, tools, (value) => value.trim())),
    ),
};

function functions(text: string): readonly string[] {
  return blocks(text, "<function=", "</function>").map(({ inside }) => inside);
}

function readFunction(
  inside: string,
  tools: readonly ToolSchema[],
  clean: (value: string) => string,
): OneCall | string {
  const [name, body] = cut(inside, ">") ?? [];
  if (name === undefined || body === undefined) return "expected `>` after the name of the function";
  const values: [string, string][] = [];
  for (const parameter of blocks(body, "<parameter=", "</parameter>")) {
    const [key, value] = cut(parameter.inside, ">") ?? [];
    if (key === undefined || value === undefined || parameter.unclosed)
      return "expected <parameter=KEY>VALUE</parameter>, got one that does not end";
    values.push([key.trim(), clean(value)]);
  }
  return named(name, plainArguments(name, values, tools));
}
