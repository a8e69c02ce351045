import { z } from "zod";
import { check, type Read, show } from "../../problem.ts";
import { RULES } from "../rules.ts";
import type { EvalType, Expectation } from "../verdict.ts";
import { gradingOf, type OfficialRule } from "./repositories.ts";

const NOT_TESTS = "expected a list of test names, or JSON of one";
const Tests = z
  .union([z.array(z.string()), z.string().transform(jsonList)], { error: NOT_TESTS })
  .pipe(z.array(z.string(), { error: NOT_TESTS }));

/** What of a row decides its verdicts. */
const Row = z.object({
  instance_id: z.string().min(1),
  repo: z.string().default(""),
  version: z.coerce.string().nullish(),
  log_parser: z.string().nullish(),
  eval_type: z.enum(["pass_and_fail", "fail_only"]).nullish(),
  FAIL_TO_PASS: Tests.default([]),
  PASS_TO_PASS: Tests.default([]),
});
type Row = z.infer<typeof Row>;

export interface OfficialTask {
  readonly instanceId: string;
  readonly expectation: Expectation;
}

/** A row of any SWE-bench data set, with the columns of version 5 or the classic ones, as a release reads it to grade a log. */
export function readOfficialRow(row: unknown, rule: OfficialRule): Read<OfficialTask> {
  const read = check(Row, row);
  if (!read.ok) return read;
  const { instance_id: id, repo, version } = read.value;
  const grading = gradingOfRow(read.value, rule);
  if (grading === undefined || !RULES[rule].parsers.has(grading.parser)) {
    const expected = `expected a parser of ${rule}, or a repository that it knows`;
    const problem = `log_parser: ${expected}, got ${show(read.value.log_parser ?? undefined)} and ${show(repo)}`;
    return { ok: false, problems: [problem] };
  }
  const tests = { failToPass: read.value.FAIL_TO_PASS, passToPass: read.value.PASS_TO_PASS };
  return {
    ok: true,
    value: { instanceId: id, expectation: { rule, ...grading, ...tests, instance: { id, version: version ?? "" } } },
  };
}

/** 4.1.0 goes by the repository and looks at no column; 5.0.2 goes by the columns. Each falls back on the other way for rows that are not its own. */
function gradingOfRow({ repo, log_parser, eval_type }: Row, rule: OfficialRule) {
  const ofRepository = gradingOf(rule, repo);
  if (rule === "swebench@4.1.0" && ofRepository !== undefined) return ofRepository;
  const parser = log_parser ?? ofRepository?.parser;
  const evalType: EvalType = eval_type ?? ofRepository?.evalType ?? "pass_and_fail";
  return parser === undefined ? undefined : { parser, evalType };
}

function jsonList(text: string, context: z.RefinementCtx): unknown {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue({ code: "custom", message: NOT_TESTS });
    return z.NEVER;
  }
}
