import { randomBytes } from "node:crypto";
import type { Admission } from "../admission/admission.ts";
import { type Grader, needsRun } from "../grading/grader.ts";
import type { GraderSpec } from "../grading/spec.ts";
import type { Task } from "../tasks/task.ts";
import type { Judge } from "../trajectory/life.ts";

/** Grading as trajectories need it: what has to be run waits for a slot. `defaultGradeMs` is the limit that nobody chose: the task's own then counts. */
export function judging(grader: Grader, slots: Admission, defaultGradeMs: number): Judge {
  return {
    takeSubmission: (sandbox, environment, signal) => grader.takeSubmission(sandbox, environment, signal),
    async judge(task, environment, submission, { gradeMs, submissionMs, signal }) {
      const spec = specOf(task);
      const timeoutMs = gradeMs === 0 || gradeMs === defaultGradeMs ? spec.timeoutMs : gradeMs;
      const key = randomBytes(8).toString("hex");
      // A wait that was cut short is told by the grader, as a grade.
      const asked = performance.now();
      const slot = needsRun(submission) ? slots.acquire({ pool: "default", key, signal }) : undefined;
      const lease = await slot?.catch(() => undefined);
      const queuedMs = performance.now() - asked;
      try {
        return await grader.gradeSubmission({
          environment,
          spec,
          submission,
          timeoutMs,
          submissionMs,
          queuedMs,
          signal,
        });
      } finally {
        lease?.release();
      }
    },
  };
}

function specOf({ grader }: Task): GraderSpec {
  const { rule, parser, evalType, failToPass, passToPass, apply, script, timeoutMs, official } = grader;
  return {
    expectation: { rule, parser, evalType, failToPass, passToPass },
    apply,
    script,
    timeoutMs,
    ...(official && { officialRule: rule }),
  };
}
