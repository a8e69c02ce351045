import { jsonOf } from "../arguments.ts";
import type { ToolSchema } from "../tool.ts";

/** A tool call as it was read from a model's text. */
export interface ReadCall {
  /** As the model gave it; else `call_0`, `call_1`, ... */
  readonly id: string;
  readonly name: string;
  readonly argumentsJson: string;
}

/** The calls of one assistant message, possibly none; or, in words for the policy, why they cannot be read: then none of them counts. */
export type Reading =
  | { readonly type: "calls"; readonly calls: readonly ReadCall[] }
  | { readonly type: "problem"; readonly problem: string };

/**
 * How a family of models writes tool calls into its text. `read` never throws, takes time in proportion to the text, and is a pure function; `tools` are those that are offered: where a format has no types
 * of its own, values become what the schema says.
 */
export interface Format {
  readonly name: string;
  read(text: string, tools: readonly ToolSchema[]): Reading;
}

/** What was read of one call; a string is a problem. */
export type OneCall = Omit<ReadCall, "id"> & { readonly id?: string };

/** All or nothing: a message is one action. `what` names the n-th call in messages. */
export function reading(found: readonly (OneCall | string)[]): Reading {
  const at = found.findIndex((one) => typeof one === "string");
  if (at >= 0) return problem(`tool call ${at + 1} cannot be read: ${found[at]}`);
  const calls = found.filter((one) => typeof one !== "string");
  return { type: "calls", calls: calls.map((call, index) => ({ id: `call_${index}`, ...call })) };
}

export function problem(words: string): Reading {
  return { type: "problem", problem: `Nothing was run: ${words}.` };
}

/** A call whose name is known and whose arguments should be a JSON object. They are checked by the tool itself. */
export function named(name: string, argumentsJson: string): OneCall | string {
  if (name.trim() === "") return "expected the name of a tool, got nothing";
  return { name: name.trim(), argumentsJson: argumentsJson.trim() };
}

/** `{"name": ..., "arguments": {...}}`; some models call them parameters, some write them as a string. */
export function jsonCall(json: string): OneCall | string {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    return `expected a JSON object with "name" and "arguments", got text that is not JSON: ${(error as Error).message}`; // JSON.parse throws nothing else
  }
  return callOf(value);
}

export function callOf(value: unknown): OneCall | string {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return 'expected a JSON object with "name" and "arguments", got another JSON value';
  const name = Reflect.get(value, "name");
  const given = Reflect.get(value, "arguments") ?? Reflect.get(value, "parameters") ?? {};
  if (typeof name !== "string") return 'expected "name" to be the name of a tool';
  const json = typeof given === "string" ? given : jsonOf(given);
  return json === undefined ? "the arguments are nested too deeply" : named(name, json);
}

/** Arguments that came as plain text, by the types of the tool's schema. */
export function plainArguments(
  name: string,
  values: readonly (readonly [string, string])[],
  tools: readonly ToolSchema[],
): string {
  const schema = tools.find((tool) => tool.function.name === name.trim())?.function.parameters.properties ?? {};
  const typed = values.map(([key, value]) => [
    key,
    Object.hasOwn(schema, key) ? plain(value, schema[key]?.type) : value,
  ]);
  return JSON.stringify(Object.fromEntries(typed));
}

/** What is not of the wanted type stays text: the tool says what it expected. */
function plain(value: string, type: string | undefined): unknown {
  const text = value.trim();
  if (type === "boolean" && /^(true|false)$/i.test(text)) return text.toLowerCase() === "true";
  if (type === "integer" && /^-?\d{1,15}$/.test(text)) return Number(text);
  if (type === "number" && text !== "" && Number.isFinite(Number(text))) return Number(text);
  return value;
}
