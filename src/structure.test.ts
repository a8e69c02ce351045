import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";

const SRC = import.meta.dirname;

/** A folder may import from itself and from those in earlier rows. */
const ORDER = [
  ["errors.ts"],
  ["problem.ts"],
  ["config.ts", "host-command.ts"],
  ["shelf"],
  ["verdict", "sandbox"],
  ["admission", "tasks"],
  ["environments"],
  ["grading"],
  ["seeds"],
  ["tools"],
  ["dataset"],
  ["trajectory"],
  ["gen"],
  ["server"],
  ["cli"],
];
/** Grading sees a GraderSpec and tools see a StepSandbox: neither sees a task. */
const NEVER: readonly (readonly [from: string, to: string])[] = [
  ["grading", "tasks"],
  ["tools", "tasks"],
  ["cli", "gen"],
];
/** A program of its own, started by the server with arguments. */
const PROGRAM = /-main\.ts$/;
const MAX_LINES = 400;

const sources = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts") && !path.startsWith("gen/") && !path.startsWith("tasks/bundled/"))
  .map((path) => ({ path, text: readFileSync(join(SRC, path), "utf8") }));
const product = sources.filter(({ path }) => !/\.(test|fixture)\.ts$/.test(path));
const imports = product.flatMap(({ path, text }) =>
  [...text.matchAll(/^(?:import|export)\b[^;]*?from "(\.[^"]+)"/gm)].map(([, to = ""]) => ({
    from: path,
    to: relative(SRC, join(SRC, dirname(path), to)),
  })),
);

test("imports point one way", () => {
  const wrong = imports.filter(({ from, to }) => {
    const [source, target] = [top(from), top(to)];
    if (source === target || target.startsWith("..")) return false;
    if (NEVER.some(([a, b]) => a === source && b === target)) return true;
    return rank(target) >= rank(source);
  });
  expect(wrong.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
});

test("every folder has its place in the order", () => {
  const tops = new Set(product.map(({ path }) => top(path)));
  expect([...tops].filter((name) => rank(name) === -1)).toEqual([]);
});

test("no file imports itself by a detour", () => {
  const next = Map.groupBy(imports, ({ from }) => from);
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(" -> "));
    if (done.has(path) || trail.includes(path)) return;
    for (const { to } of next.get(path) ?? []) visit(to, [...trail, path]);
    done.add(path);
  };
  for (const { path } of product) visit(path, []);
  expect(cycles).toEqual([]);
});

test("only the command line touches arguments, environment and exit", () => {
  const touching = product.filter(
    ({ path, text }) =>
      !path.startsWith("cli/") && !PROGRAM.test(path) && /\bprocess\.(argv|env|exit|exitCode|chdir)\b/.test(text),
  );
  expect(touching.map(({ path }) => path)).toEqual([]);
});

test(`no file is longer than ${MAX_LINES} lines`, () => {
  const long = sources.filter(({ text }) => text.split("\n").length > MAX_LINES + 1);
  expect(long.map(({ path }) => path)).toEqual([]);
});

test("the oldest Node that is supported can read every file", () => {
  const newer = product.filter(({ text }) => /^\s*(await )?using \w+ =|\bAsyncDisposableStack\b/m.test(text));
  expect(newer.map(({ path }) => path)).toEqual([]);
});

const top = (path: string): string => path.split("/")[0] ?? "";
const rank = (name: string): number => ORDER.findIndex((row) => row.includes(name));
