import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { judgeBytes } from "../judge.ts";
import { instanceReport, pythonJson } from "../official/report.ts";
import type { OfficialRule } from "../official/repositories.ts";
import { readOfficialRow } from "../official/row.ts";
import { NO_INSTANCE, type Parser, UnparsableLog } from "../parsers/parser.ts";
import { decodeUtf8, universalNewlines } from "../python-text.ts";
import { RULES } from "../rules.ts";
import type { Expectation, Verdict } from "../verdict.ts";
import { Chance } from "./chance.fixture.ts";
import { SEED } from "./grammars.fixture.ts";
import { oracleOf } from "./oracle.fixture.ts";
import { crossings, fileOf, hasRealData, logOfCrossing, type Row, type Run, realRuns } from "./real-data.fixture.ts";

/** How many parsers read each real log beside the one that is meant for it. */
const OTHERS = Number(process.env["SANDLOT_PARITY_PARSERS"] ?? 5);

const runs = realRuns();

describe.skipIf(!hasRealData).each([
  { rule: "swebench@5.0.2", harness: "v502" },
  { rule: "swebench@4.1.0", harness: "v410" },
] as const)("$rule on real and synthetic logs", ({ rule, harness }) => {
  const { parsers } = RULES[rule];

  it.each(runs)("judges $name as the official harness did", (run) => {
    const expected = JSON.parse(fileOf(run, `expected.${harness}.json`).toString());
    const verdict = judgeRun(run, rule);
    expect(verdict.found).toBe(expected.found);
    expect(sorted(verdict.statuses)).toEqual(sorted(Object.entries(expected.status_map)));
    expect({ [run.row.instance_id]: instanceReport(rule, verdict) }).toEqual(expected.report);
  });

  it("reads every real log with every Python parser as the official code did", () => {
    const lines = crossings("cross_parser", harness);
    const got = lines.map((line) => {
      const text = universalNewlines(decodeUtf8(logOfCrossing(line)));
      return Object.keys(line.parsers).map((name) => [name, digest(parse(parsers.get(name), text))]);
    });
    expect(got).toEqual(lines.map((line) => Object.entries(line.parsers)));
    expect(got.length).toBeGreaterThan(50);
  });

  it.each(crossings("synthetic_edge", harness))("reads the edge case $case as the official code did", (edge) => {
    const got = Object.keys(edge.parsers).map((name) => [name, parse(parsers.get(name), edge.log)]);
    expect(Object.fromEntries(got)).toEqual(edge.parsers);
  });

  it("has every parser that an official row names", () => {
    expect(runs.map(({ row }) => String(row["log_parser"])).filter((name) => !parsers.has(name))).toEqual([]);
  });
});

describe.skipIf(!hasRealData).each(["swebench@5.0.2", "swebench@4.1.0"] as const)("%s itself", (rule) => {
  const { reason, ask } = oracleOf(rule);

  it.skipIf(reason !== undefined)("writes the same reports of all real logs, to the byte", async () => {
    const questions = runs.map((run) => {
      const log = fileOf(run, "test_output.txt").toString("base64");
      return { operation: "report", patch: "x", row: withTests(run.row), log } as const;
    });
    const answers = await ask(questions);
    for (const [index, run] of runs.entries()) {
      const verdict = judgeRun(run, rule);
      const report = pythonJson({ [run.row.instance_id]: instanceReport(rule, verdict) });
      expect({ answer: { statuses: verdict.statuses, report } }, run.name).toEqual(answers[index]);
    }
  });

  it.skipIf(reason !== undefined)("reads real logs the same with parsers that are not meant for them", async () => {
    const chance = new Chance(SEED);
    const names = [...RULES[rule].parsers.keys()].filter((name) => name.startsWith("parse_"));
    for (const run of runs) {
      const log = universalNewlines(decodeUtf8(fileOf(run, "test_output.txt")));
      const some = names.filter(() => chance.is(OTHERS / names.length));
      const answers = await ask(some.map((parser) => ({ operation: "parse", parser, log, instance: INSTANCE })));
      for (const [index, parser] of some.entries()) {
        const answer = answers[index];
        const theirs = answer && "answer" in answer ? answer.answer : "raises";
        expect(read(RULES[rule].parsers.get(parser), log), `${parser} on ${run.name}`).toEqual(theirs);
      }
    }
  });
});

/** One that the parsers know which choose by it. */
const INSTANCE = { id: "jekyll__jekyll-9141", version: "9.5" };

function judgeRun(run: Run, rule: OfficialRule): Verdict {
  return judgeBytes(fileOf(run, "test_output.txt"), expectationOf(run.row, rule));
}

function expectationOf(row: Row, rule: OfficialRule): Expectation {
  const found = readOfficialRow(row, rule);
  if (!found.ok) throw new Error(found.problems.join("\n"));
  return found.value.expectation;
}

/** As the harness hands a row to its grading. */
function withTests(row: Row): Row {
  const lists = ["FAIL_TO_PASS", "PASS_TO_PASS"].map((key) => [key, JSON.parse(String(row[key]))]);
  return { ...row, ...Object.fromEntries(lists) };
}

function read(parser: Parser | undefined, text: string): unknown {
  try {
    return [...(parser?.(text, INSTANCE) ?? [])];
  } catch (error) {
    if (error instanceof UnparsableLog) return "raises";
    throw error;
  }
}

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
