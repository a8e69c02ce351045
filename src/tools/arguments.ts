import type { Tool, ToolSchema } from "./tool.ts";

const MAX_BYTES = 1 << 20;

export type Arguments = Readonly<Record<string, unknown>>;
export type ParsedArguments =
  | { readonly ok: true; readonly args: Arguments }
  /** `problem` says what was expected and what was got, for the policy. */
  | { readonly ok: false; readonly problem: string };

/**
 * Reads tool arguments as a model wrote them and checks them against the tool's schema. Nothing at all counts as no arguments, and null as an absent one; unknown
 * names are refused, so that no wish is passed over in silence.
 */
export function parseArguments(tool: Pick<Tool, "schema" | "listsAsText">, json: string): ParsedArguments {
  const size = Buffer.byteLength(json);
  if (size > MAX_BYTES) return wrong(`expected at most ${MAX_BYTES} bytes, got ${size}`);
  const value = json.trim() === "" ? {} : parseJson(json);
  if (value instanceof SyntaxError) return wrong(`expected a JSON object, got text that is not JSON: ${value.message}`);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return wrong(`expected a JSON object, got ${kindOf(value)}`);
  return check(tool, Object.entries(value));
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    if (error instanceof SyntaxError) return error;
    throw error;
  }
}

function check(
  { schema, listsAsText = [] }: Pick<Tool, "schema" | "listsAsText">,
  entries: readonly (readonly [string, unknown])[],
): ParsedArguments {
  const { properties, required } = schema.function.parameters;
  const args = new Map<string, unknown>();
  for (const [name, value] of entries) {
    const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (!property) return wrong(`there is no parameter ${JSON.stringify(name.slice(0, 100))}; ${known(schema)}`);
    if (value === null) continue;
    const fitting = listsAsText.includes(name) && Array.isArray(value) ? jsonOf(value) : value;
    if (fitting === undefined) return wrong(`parameter \`${name}\`: the list is nested too deeply`);
    const problem = problemWith(property, fitting);
    if (problem) return wrong(`parameter \`${name}\`: ${problem}`);
    args.set(name, fitting);
  }
  const missing = required.filter((name) => !args.has(name));
  if (missing.length === 0) return { ok: true, args: Object.fromEntries(args) };
  return wrong(`${missing.map((name) => `\`${name}\``).join(", ")} missing; ${known(schema)}`);
}

/** Undefined for what is nested deeper than JSON can be written, though it can be read. */
export function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

type Property = ToolSchema["function"]["parameters"]["properties"][string];

function problemWith({ type, enum: words }: Property, value: unknown): string | undefined {
  const wanted = type === "integer" ? "an integer" : `a ${type}`;
  if (kindOf(value) !== wanted) return `expected ${wanted}, got ${kindOf(value)}`;
  if (typeof value !== "string") return undefined;
  if (value.includes("\0")) return "expected text without NUL bytes";
  if (words && !words.includes(value))
    return `expected one of ${words.join(", ")}, got ${JSON.stringify(value.slice(0, 100))}`;
  return undefined;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (Number.isSafeInteger(value)) return "an integer";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function known({ function: { parameters } }: ToolSchema): string {
  const names = Object.keys(parameters.properties);
  if (names.length === 0) return "this tool has none";
  const marked = names.map((name) => (parameters.required.includes(name) ? `${name} (required)` : name));
  return `its parameters are ${marked.join(", ")}`;
}

function wrong(problem: string): ParsedArguments {
  return { ok: false, problem };
}
