import { describe, expect, it } from "vitest";
import { pythonJson } from "../official/report.ts";
import { OFFICIAL_RULES, type OfficialRule } from "../official/repositories.ts";
import { type Prediction, runReport } from "../official/run-report.ts";
import { Chance } from "./chance.fixture.ts";
import { SEED } from "./grammars.fixture.ts";
import { oracleOf, type Question } from "./oracle.fixture.ts";

const RUN = "run-1";
const COUNT = 100;
const REPORTS = [
  '{"ID": {"resolved": true}}',
  '{"ID": {"resolved": true}}',
  '{"ID": {"resolved": false}}',
  '{"ID": {"resolved": false}}',
  '{"other": {}}',
  '{"ID": {}}',
  "",
  " \n",
  "{",
];
const LOGS = [
  "Killed",
  "x Killed",
  "ok",
  "ModuleNotFoundError",
  "Timeout error: 1800 seconds exceeded.\r\n",
  "a\rKilled\rb",
];

type RunQuestion = Extract<Question, { operation: "run_report" }> & {
  readonly predictions: Readonly<Record<string, Prediction>>;
};

describe.each(OFFICIAL_RULES)("the run report of %s", (rule) => {
  const { reason, ask } = oracleOf(rule);

  it.skipIf(reason !== undefined)("is its own, to the byte, and has its name", async () => {
    const chance = new Chance(SEED);
    const runs = Array.from({ length: COUNT }, () => runOf(chance));
    const answers = await ask(runs);
    for (const [index, run] of runs.entries()) {
      const { name, report } = ours(rule, run);
      const got = { answer: { name, report: `${pythonJson(report)}\n` } };
      expect(got, `${JSON.stringify(run)} (SANDLOT_PARITY_SEED=${SEED})`).toEqual(answers[index]);
    }
  });

  it("tells what was left behind where the release does", () => {
    const { report } = runReport({
      ...{ rule, runId: RUN, predictions: new Map(), instances: [], report: () => undefined, logs: () => [] },
      leftBehind: { containers: ["b", "a"], images: [] },
    });
    expect(report["unstopped_containers"]).toEqual(rule === "swebench@5.0.2" ? ["a", "b"] : undefined);
  });
});

function ours(rule: OfficialRule, { predictions, rows, files }: RunQuestion) {
  const fileOf = (instance: string, name: string): string | undefined => files[pathOf(predictions[instance], name)];
  return runReport({
    ...{ rule, runId: RUN, predictions: new Map(Object.entries(predictions)) },
    instances: rows.map((row) => Object(row).instance_id),
    report: (instance) => fileOf(instance, "report.json"),
    logs: (instance) => ["test_output.txt", "run_instance.log"].flatMap((name) => fileOf(instance, name) ?? []),
  });
}

function runOf(chance: Chance): RunQuestion {
  const ids = ["b__c-2", "a__b-1", "é__x-3", "A__b-4", "a__b-10"].filter(() => chance.is(0.9));
  const submitted = [...ids, "other__x-1"].filter(() => chance.is(0.8));
  const predictions = Object.fromEntries(
    (submitted.length > 0 ? submitted : ["a__b-1"]).map((id) => [
      id,
      { instance_id: id, model_name_or_path: "org/m/x", model_patch: chance.of(["x", "x", "x", "", " ", null]) },
    ]),
  );
  const files = Object.values(predictions).flatMap((prediction) => [
    ...(chance.is(0.8)
      ? [[pathOf(prediction, "report.json"), chance.of(REPORTS).replace("ID", prediction.instance_id)] as const]
      : []),
    ...["test_output.txt", "run_instance.log"]
      .filter(() => chance.is(0.6))
      .map((name) => [pathOf(prediction, name), chance.pieces(2, () => `${chance.of(LOGS)}\n`)] as const),
  ]);
  const rows = ids.map((instance_id) => ({ instance_id }));
  return { operation: "run_report", predictions, rows, run_id: RUN, files: Object.fromEntries(files) };
}

function pathOf(prediction: Prediction | undefined, name: string): string {
  return `logs/run_evaluation/${RUN}/org__m__x/${prediction?.instance_id}/${name}`;
}
