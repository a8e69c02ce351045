import { universalNewlines } from "../python-text.ts";
import { classifyFailure } from "./infra-failure.ts";
import type { OfficialRule } from "./repositories.ts";

export interface Prediction {
  readonly instance_id: string;
  readonly model_name_or_path: string;
  readonly model_patch: string | null;
}

export interface Run {
  readonly rule: OfficialRule;
  readonly runId: string;
  /** By instance id; a later one of the same id has taken the place of an earlier one. */
  readonly predictions: ReadonlyMap<string, Prediction>;
  /** Ids of the whole data set. */
  readonly instances: readonly string[];
  /** The text of an instance's `report.json`; undefined: there is none. */
  readonly report: (instance: string) => string | undefined;
  /** The texts of its `test_output.txt` and `run_instance.log`, of those that there are. */
  readonly logs: (instance: string) => readonly string[];
  /** What the run left behind, where somebody looked. */
  readonly leftBehind?: { readonly containers: readonly string[]; readonly images: readonly string[] };
}

type Outcome = "incomplete" | "empty_patch" | "resolved" | "unresolved" | "broken" | "error";

/** `make_run_report` of `harness/reporting.py`: the file's name and what it holds, in the order of its keys. */
export function runReport(run: Run): { readonly name: string; readonly report: Readonly<Record<string, unknown>> } {
  const outcomes = new Map(run.instances.map((instance) => [instance, outcomeOf(run, instance)]));
  const having = (...wanted: readonly Outcome[]): readonly string[] =>
    sorted([...outcomes].filter(([, outcome]) => wanted.includes(outcome)).map(([instance]) => instance));
  const ids = {
    completed: having("resolved", "unresolved", "broken"),
    incomplete: having("incomplete"),
    empty_patch: having("empty_patch"),
    submitted: sorted([...run.predictions.keys()]),
    resolved: having("resolved"),
    unresolved: having("unresolved"),
    error: having("broken", "error"),
  };
  const failures = run.rule === "swebench@5.0.2" ? failuresOf(run, [...ids.unresolved, ...ids.error]) : undefined;
  const report = {
    total_instances: run.instances.length,
    submitted_instances: run.predictions.size,
    completed_instances: ids.completed.length,
    resolved_instances: ids.resolved.length,
    unresolved_instances: ids.unresolved.length,
    ...failures?.counts,
    empty_patch_instances: ids.empty_patch.length,
    error_instances: ids.error.length,
    completed_ids: ids.completed,
    incomplete_ids: ids.incomplete,
    empty_patch_ids: ids.empty_patch,
    submitted_ids: ids.submitted,
    resolved_ids: ids.resolved,
    unresolved_ids: ids.unresolved,
    ...failures?.ids,
    error_ids: ids.error,
    schema_version: 2,
    ...leftBehind(run),
  };
  return { name: nameOf(run), report };
}

function outcomeOf({ predictions, report }: Run, instance: string): Outcome {
  const prediction = predictions.get(instance);
  if (prediction === undefined) return "incomplete";
  if (prediction.model_patch === null || prediction.model_patch === "") return "empty_patch";
  const text = report(instance);
  if (text === undefined) return "error";
  const resolved = resolvedOf(text, instance);
  if (resolved === undefined) return "broken";
  return resolved ? "resolved" : "unresolved";
}

/** Undefined: the report is broken. */
function resolvedOf(text: string, instance: string): boolean | undefined {
  try {
    const report: unknown = JSON.parse(text);
    const entry: unknown = Object.hasOwn(Object(report), instance) ? Object(report)[instance] : undefined;
    return Object.hasOwn(Object(entry), "resolved") ? Boolean(Object(entry).resolved) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** 5.0.2 says of what did not resolve whether something else than the patch may be the cause. */
function failuresOf(run: Run, instances: readonly string[]) {
  const found = sorted(instances).flatMap((instance) => {
    const failure = classifyFailure(run.logs(instance).map(universalNewlines).join("\n"));
    return failure === undefined ? [] : [{ instance, ...failure }];
  });
  const inTier = (tier: string) => found.filter((one) => one.tier === tier).map(({ instance }) => instance);
  const [infra, ambiguous] = [inTier("environment"), inTier("ambiguous")];
  return {
    counts: { infra_failure_instances: infra.length, ambiguous_failure_instances: ambiguous.length },
    ids: {
      infra_failure_ids: infra,
      ambiguous_failure_ids: ambiguous,
      failure_reasons: Object.fromEntries(found.map(({ instance, reason }) => [instance, reason])),
    },
  };
}

/** 5.0.2 tells it when it looked, 4.1.0 when it did not. */
function leftBehind({ rule, leftBehind }: Run) {
  if ((leftBehind !== undefined) !== (rule === "swebench@5.0.2")) return {};
  const { containers, images } = leftBehind ?? { containers: [], images: [] };
  return {
    unstopped_instances: containers.length,
    unstopped_containers: sorted(containers),
    unremoved_images: sorted(images),
  };
}

/** Of the first prediction's model. */
function nameOf({ predictions, runId }: Run): string {
  const [first] = predictions.values();
  return `${(first?.model_name_or_path ?? "").replaceAll("/", "__")}.${runId}.json`;
}

/** By code point. */
function sorted(texts: readonly string[]): readonly string[] {
  return [...texts].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}
