import type { z } from "zod";

/** What a reader makes of one row: the value, or every problem as `field: expected ..., got ...`. */
export type Read<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problems: string[] };

/** Checks a row against a schema and puts what does not fit into words that name the field as the row spells it. */
export function check<T>(schema: z.ZodType<T>, row: unknown): Read<T> {
  const parsed = schema.safeParse(row);
  if (parsed.success) return { ok: true, value: parsed.data };
  return { ok: false, problems: parsed.error.issues.flatMap((issue) => describe(issue, row)) };
}

/** A value in an error message: JSON of at most 60 characters. */
export function show(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function describe(issue: z.core.$ZodIssue, row: unknown): string[] {
  const path = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => `${[...path, key].join(".")}: expected no such field, got one`);
  }
  return [`${path.join(".") || "(row)"}: ${expectation(issue)}, got ${show(valueAt(row, issue.path))}`];
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      if (issue.message.startsWith("expected")) return issue.message;
      return `expected ${issue.expected}`;
    case "invalid_value":
      return `expected ${issue.values.map((value) => JSON.stringify(value)).join(" or ")}`;
    case "too_small":
      return `expected ${issue.origin === "number" || issue.origin === "int" ? "at least" : "a length of at least"} ${issue.minimum}`;
    default:
      return issue.message.startsWith("expected") ? issue.message : `expected a valid value (${issue.message})`;
  }
}

function valueAt(row: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined),
    row,
  );
}
