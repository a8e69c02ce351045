import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { judge } from "./judge.ts";
import { NO_INSTANCE, type Parser, UnparsableLog } from "./parsers/parser.ts";
import { decodeUtf8, universalNewlines } from "./python-text.ts";
import { RULES } from "./rules.ts";
import type { EvalType, Expectation, RuleName } from "./verdict.ts";

const DATA = process.env["SANDLOT_DATA"] ?? resolve(import.meta.dirname, "../../../shared/data");
const present = existsSync(join(DATA, "grading/runs"));
if (!present) console.warn(`parity with swebench is skipped: no ${DATA}/grading/runs (set SANDLOT_DATA)`);

interface Row {
  readonly instance_id: string;
  readonly log_parser: string;
  readonly eval_type: EvalType;
  readonly FAIL_TO_PASS: string;
  readonly PASS_TO_PASS: string;
}

interface Expected {
  readonly found: boolean;
  readonly status_map: Readonly<Record<string, string>>;
  readonly report: Readonly<Record<string, { readonly resolved: boolean; readonly tests_status?: unknown }>>;
}

const rows = present ? readRows() : new Map<string, Row>();
const runs = present ? readRuns() : [];

describe.skipIf(!present).each([
  { rule: "swebench@5.0.2", harness: "v502" },
  { rule: "swebench@4.1.0", harness: "v410" },
] as const)("$rule on real and synthetic logs", ({ rule, harness }) => {
  const { parsers } = RULES[rule];

  it.each(runs)("judges $run as the official harness does", ({ run, instance }) => {
    const row = rows.get(instance);
    if (row === undefined) throw new Error(`no official row for ${instance}`);
    const folder = join(DATA, "grading/runs", run);
    const expected: Expected = JSON.parse(readFileSync(join(folder, `expected.${harness}.json`), "utf8"));
    const verdict = judge(decodeUtf8(readFileSync(join(folder, "test_output.txt"))), expectationOf(row, rule));
    const report = expected.report[instance];
    expect(verdict.found).toBe(expected.found);
    expect(sorted(verdict.statuses)).toEqual(sorted(Object.entries(expected.status_map)));
    expect(verdict.resolved).toBe(report?.resolved);
    if (!verdict.found) return;
    expect({ FAIL_TO_PASS: verdict.failToPass, PASS_TO_PASS: verdict.passToPass }).toEqual(
      onlyGraded(report?.tests_status),
    );
  });

  it("reads every real log with every Python parser as the official code does", () => {
    const lines = jsonLines("grading/cross_parser_expected.jsonl").filter((line) => line.harness === harness);
    const got = lines.map(({ log, parsers: expected }) => {
      const text = universalNewlines(decodeUtf8(readFileSync(join(DATA, "grading", log))));
      return [
        log,
        Object.fromEntries(Object.keys(expected).map((name) => [name, digest(parse(parsers.get(name), text))])),
      ];
    });
    expect(got).toEqual(lines.map((line) => [line.log, line.parsers]));
    expect(got.length).toBeGreaterThan(50);
  });

  it.each(present ? jsonLines("grading/synthetic_edge_expected.jsonl").filter((line) => line.harness === harness) : [])(
    "reads the edge case $case with every Python parser as the official code does",
    ({ log, parsers: expected }) => {
      const got = Object.keys(expected).map((name) => [name, parse(parsers.get(name), log)]);
      expect(Object.fromEntries(got)).toEqual(expected);
    },
  );

  it("has every parser that an official Python row names", () => {
    expect([...rows.values()].map((row) => row.log_parser).filter((name) => !parsers.has(name))).toEqual([]);
  });
});

function parse(parser: Parser | undefined, text: string): unknown {
  try {
    if (parser === undefined) throw new Error("no such parser");
    return Object.fromEntries(parser(text, NO_INSTANCE));
  } catch (error) {
    if (error instanceof UnparsableLog) return { __error__: "IndexError" };
    throw error;
  }
}

function digest(statuses: unknown): unknown {
  if (typeof statuses !== "object" || statuses === null) return statuses;
  if ("__error__" in statuses) return statuses;
  const entries = sorted(Object.entries(statuses));
  const text = `[${entries.map((entry) => JSON.stringify(entry)).join(",")}]`;
  return { n: entries.length, sha256: createHash("sha256").update(text).digest("hex") };
}

/** By code point, as Python sorts. */
function sorted(entries: readonly (readonly [string, unknown])[]): readonly (readonly [string, unknown])[] {
  return [...entries].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function expectationOf(row: Row, rule: RuleName): Expectation {
  return {
    rule,
    parser: row.log_parser,
    evalType: row.eval_type,
    failToPass: JSON.parse(row.FAIL_TO_PASS),
    passToPass: JSON.parse(row.PASS_TO_PASS),
  };
}

function onlyGraded(tests: unknown): unknown {
  const { FAIL_TO_PASS, PASS_TO_PASS } = Object(tests);
  return { FAIL_TO_PASS, PASS_TO_PASS };
}

function jsonLines(path: string): readonly { harness: string; case?: string; log: string; parsers: object }[] {
  return readFileSync(join(DATA, path), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

function readRows(): Map<string, Row> {
  const files = readdirSync(join(DATA, "swebench")).filter((name) => name.endsWith(".v5.jsonl.gz"));
  const rows = files.flatMap((name) =>
    gunzipSync(readFileSync(join(DATA, "swebench", name)))
      .toString()
      .trim()
      .split("\n")
      .map((line): Row => JSON.parse(line)),
  );
  return new Map(rows.map((row) => [row.instance_id, row]));
}

function readRuns(): readonly { readonly run: string; readonly instance: string }[] {
  const runs = join(DATA, "grading/runs");
  return readdirSync(runs).flatMap((instance) =>
    readdirSync(join(runs, instance)).map((outcome) => ({ run: join(instance, outcome), instance })),
  );
}
