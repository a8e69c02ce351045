import { z } from "zod";

const Shown = z.looseObject({
  reward: z.number().optional(),
  validity: z.string(),
  outcome: z.string(),
  reason: z.string(),
  official_resolved: z.boolean().optional(),
  official_rule: z.string(),
  assurance: z.looseObject({ level: z.string() }).optional(),
  tests: z.record(z.string(), z.looseObject({ passed: z.number(), failed: z.number() })),
  timings: z.looseObject({ grade_ms: z.number() }).optional(),
  left_out: z.array(z.string()),
});

/** A grade for people. */
export function gradeLines(grade: unknown): string {
  const { reward, validity, outcome, reason, ...rest } = Shown.parse(grade);
  const counts = Object.entries(rest.tests).map(
    ([group, { passed, failed }]) => `${group.padEnd(14)}${passed} passed, ${failed} failed`,
  );
  const official =
    rest.official_resolved === undefined
      ? []
      : [`official      ${rest.official_rule}: ${rest.official_resolved ? "resolved" : "not resolved"}`];
  const lines = [
    `reward        ${reward ?? "none"}`,
    `outcome       ${outcome} (${validity})`,
    `reason        ${reason}`,
    ...counts,
    ...official,
    `assurance     ${rest.assurance?.level ?? ""}`,
    `time          ${rest.timings?.grade_ms ?? 0} ms`,
    ...(rest.left_out.length > 0 ? [`left out      ${rest.left_out.join(", ")}`] : []),
  ];
  return `${lines.join("\n")}\n`;
}
