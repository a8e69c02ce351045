import { describe, expect, it } from "vitest";
import { judgeBytes } from "../judge.ts";
import { instanceReport, pythonJson } from "../official/report.ts";
import { OFFICIAL_RULES, type OfficialRule, PARSER_OF } from "../official/repositories.ts";
import { readOfficialRow } from "../official/row.ts";
import type { Expectation } from "../verdict.ts";
import { Chance } from "./chance.fixture.ts";
import type { Grammar } from "./grammar.fixture.ts";
import { COUNT, grammarsOf, SEED } from "./grammars.fixture.ts";
import { oracleOf } from "./oracle.fixture.ts";
import { expectedOf, runLogOf } from "./run-log.fixture.ts";

/** Those that 5.0.2 has and does not register: it grades no row with them. */
const UNREGISTERED = [
  "parse_log_cypress",
  "parse_log_emotion",
  "parse_log_prettier",
  "parse_log_scratch_gui",
  "parse_plotly_js",
];

interface Row {
  readonly instance_id: string;
  readonly repo: string;
  readonly version: string;
  readonly log_parser: string;
  readonly eval_type: string;
  readonly FAIL_TO_PASS: readonly string[];
  readonly PASS_TO_PASS: readonly string[];
}

interface Case {
  readonly row: Row;
  readonly log: Uint8Array;
}

describe.each(OFFICIAL_RULES)("reports of %s on generated runs", (rule) => {
  const { reason, ask } = oracleOf(rule);

  it.skipIf(reason !== undefined).each(gradedGrammars(rule))(
    "are its own, to the byte, with $name",
    async (grammar) => {
      const chance = new Chance(SEED);
      const cases = Array.from({ length: COUNT / 2 }, () => caseOf(rule, grammar, chance));
      const asked = cases.map(({ row, log }) => ({ row, log: Buffer.from(log).toString("base64") }));
      const answers = await ask(asked.map((one) => ({ operation: "report", patch: "x", ...one })));
      for (const [index, one] of cases.entries()) {
        const answer = answers[index];
        expect(ours(rule, one), describeCase(one)).toEqual(answer && "answer" in answer ? answer.answer : "raises");
      }
    },
  );

  it.skipIf(reason !== undefined)("say so when there is no patch", async () => {
    const row = rowOf(["django/django", "parse_log_django"], "a__b-1", "1.0", "pass_and_fail");
    const [answer] = await ask([{ operation: "report", row, log: "", patch: null }]);
    const report = pythonJson({ "a__b-1": instanceReport(rule, undefined) });
    expect({ answer: { statuses: [], report } }).toEqual(answer);
  });
});

function ours(rule: OfficialRule, { row, log }: Case): unknown {
  const verdict = judgeBytes(log, expectationOf(row, rule));
  if (verdict.raised) return "raises";
  return { statuses: verdict.statuses, report: pythonJson({ [row.instance_id]: instanceReport(rule, verdict) }) };
}

function expectationOf(row: object, rule: OfficialRule): Expectation {
  const read = readOfficialRow(row, rule);
  if (!read.ok) throw new Error(read.problems.join("\n"));
  return read.value.expectation;
}

/** The grammars of parsers that a repository has, which is how 4.1.0 chooses. */
function gradedGrammars(rule: OfficialRule) {
  return grammarsOf(rule).filter((grammar) => repositoriesOf(grammar).length > 0);
}

function repositoriesOf({ parsers }: Grammar): readonly (readonly [repository: string, parser: string])[] {
  return [...PARSER_OF].filter(([, parser]) => parsers.includes(parser) && !UNREGISTERED.includes(parser));
}

/** What the row expects comes from what the log is read as, so that there is something to compare. */
function caseOf(rule: OfficialRule, grammar: Grammar, chance: Chance): Case {
  const repository = chance.of(repositoriesOf(grammar));
  const evalType = chance.is(0.8) ? "pass_and_fail" : "fail_only";
  const id = chance.of(grammar.ids ?? ["a__b-1"]);
  const row = rowOf(repository, id, chance.of(grammar.versions ?? ["1.0"]), evalType);
  const log = runLogOf(grammar, chance);
  const names = judgeBytes(log, expectationOf(row, rule)).statuses.map(([name]) => name);
  const [FAIL_TO_PASS, PASS_TO_PASS] = [expectedOf(names, chance), expectedOf(names, chance)];
  return { row: { ...row, FAIL_TO_PASS, PASS_TO_PASS }, log };
}

function rowOf([repo, log_parser]: readonly [string, string], id: string, version: string, eval_type: string): Row {
  return { instance_id: id, repo, version, log_parser, eval_type, FAIL_TO_PASS: [], PASS_TO_PASS: [] };
}

function describeCase({ row, log }: Case): string {
  return `${JSON.stringify(row)} on ${JSON.stringify(Buffer.from(log).toString("latin1"))} (SANDLOT_PARITY_SEED=${SEED})`;
}
