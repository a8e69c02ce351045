import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { Config } from "./config.ts";

const SRC = import.meta.dirname;
const ROOT = join(SRC, "..");
const sources = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts") && !/^gen\/|\.(test|fixture)\.ts$/.test(path))
  .map((path) => ({ path, text: readFileSync(join(SRC, path), "utf8") }));
const knobs = sources.flatMap(({ path, text }) =>
  [...text.matchAll(/(?:\bknob: |\bTOKENS = )(?:"([^"]+)"|`([^`]+)`)/g)].map(([, plain, template]) => ({
    path,
    name: plain ?? (template ?? "").replace(/\$\{[^}]*\}+/g, "*"),
  })),
);
const manual = [
  ...readdirSync(join(ROOT, "docs"))
    .filter((page) => page.endsWith(".md"))
    .map((page) => join("docs", page)),
  "secrets/README.md",
]
  .map((page) => readFileSync(join(ROOT, page), "utf8"))
  .join("\n");

test("every setting that an error names is in the configuration, or a variable that the manual has", () => {
  expect(knobs.length).toBeGreaterThan(10);
  const known = (name: string): boolean =>
    /^[A-Z]/.test(name) ? manual.includes(name) : holds(z.toJSONSchema(Config, { io: "input" }), name.split("."));
  expect(knobs.filter(({ name }) => !known(name))).toEqual([]);
});

type Shape = z.core.JSONSchema.BaseSchema;

/** Whether a setting of that path can stand in the configuration; `*` is any name. */
function holds(shape: Shape | boolean | undefined, [name, ...rest]: readonly string[]): boolean {
  if (typeof shape !== "object") return false;
  if (name === undefined) return true;
  const options = shape.anyOf ?? shape.oneOf;
  if (options) return options.some((option) => holds(option, [name, ...rest]));
  const parts = Object.entries(shape.properties ?? {}).filter(([key]) => name === "*" || key === name);
  return parts.some(([, part]) => holds(part, rest)) || holds(shape.additionalProperties, rest);
}
