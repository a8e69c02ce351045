import { z } from "zod";

/** What a reader makes of one row: the value, or every problem as `field: expected ..., got ...`. */
export type Read<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problems: string[] };

/** One thing that does not fit. */
export interface Problem {
  /** From the outermost name to that of the value, or of the key that is not known. */
  readonly path: readonly string[];
  /** `expected ..., got ...` */
  readonly says: string;
}

/** Checks a row against a schema and puts what does not fit into words that name the field as the row spells it. */
export function check<T>(schema: z.ZodType<T>, row: unknown): Read<T> {
  const checked = inspect(schema, row);
  if (checked.ok) return checked;
  return { ok: false, problems: checked.problems.map(({ path, says }) => `${path.join(".") || "(row)"}: ${says}`) };
}

/** The same, with each problem's path apart from its words. */
export function inspect<T>(
  schema: z.ZodType<T>,
  value: unknown,
): { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problems: readonly Problem[] } {
  const parsed = schema.safeParse(value, { error: expectation });
  if (parsed.success) return { ok: true, value: parsed.data };
  return { ok: false, problems: parsed.error.issues.flatMap((issue) => describe(issue, value)) };
}

/** A value in an error message: JSON of at most 60 characters. */
export function show(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function describe(issue: z.core.$ZodIssue, root: unknown): Problem[] {
  const path = issue.path.map(String);
  const expected = issue.message.startsWith("expected") ? issue.message : `expected a valid value (${issue.message})`;
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => ({ path: [...path, key], says: `${expected}, got ${show(key)}` }));
    case "invalid_key":
      return [{ path, says: `${issue.issues[0]?.message ?? expected}, got ${show(path.at(-1))}` }];
    default:
      return [{ path, says: `${expected}, got ${show(valueAt(root, issue.path))}` }];
  }
}

/** What the schema at fault allows; a message of its own goes before this. */
function expectation(issue: z.core.$ZodRawIssue): string {
  if (issue.code === "invalid_union" && Array.isArray(issue.options))
    return `expected ${anyOf(issue.options.map(show))}`;
  const schema = issue.schema ?? issue.inst;
  if (!(schema instanceof z.ZodType)) return issue.message ?? "expected another value";
  if (schema instanceof z.ZodObject && issue.code === "unrecognized_keys")
    return `expected a key of ${Object.keys(schema.shape).join(", ")}`;
  return `expected ${inWords(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }))}`;
}

type Shape = z.core.JSONSchema.BaseSchema;

function inWords(shape: Shape): string {
  if (shape.const !== undefined) return show(shape.const);
  if (shape.enum) return anyOf(shape.enum.map((value) => show(value)));
  const options = shape.anyOf ?? shape.oneOf;
  if (options) return anyOf([...new Set(options.map((option) => (typeof option === "object" ? inWords(option) : "")))]);
  switch (shape.type) {
    case "integer":
    case "number":
      return `${shape.type === "integer" ? "an integer" : "a number"}${range(shape)}`;
    case "string":
      return `a string${least(shape.minLength)}`;
    case "array":
      return `a list${least(shape.minItems)}`;
    case "boolean":
      return "true or false";
    case "object":
      return "an object";
    default:
      return "another value";
  }
}

/** Bounds that only say what a number can hold are left out. */
function range({ minimum = -Infinity, maximum = Infinity }: Shape): string {
  const [from, to] = [minimum > Number.MIN_SAFE_INTEGER, maximum < Number.MAX_SAFE_INTEGER];
  if (from && to) return ` from ${minimum} to ${maximum}`;
  if (from) return ` of at least ${minimum}`;
  return to ? ` of at most ${maximum}` : "";
}

function least(length = 0): string {
  if (length > 1) return ` with a length of at least ${length}`;
  return length === 1 ? " that is not empty" : "";
}

const anyOf = (choices: readonly string[]): string => choices.join(" or ");

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined),
    root,
  );
}
