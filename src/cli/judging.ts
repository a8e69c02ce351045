import { randomBytes } from "node:crypto";
import type { Admission } from "../admission/admission.ts";
import type { Environment } from "../environments/environment.ts";
import type { Environments } from "../environments/prepare.ts";
import { type DiffSize, excessOf } from "../grading/diff-size.ts";
import { type Grader, needsRun } from "../grading/grader.ts";
import type { GraderSpec } from "../grading/spec.ts";
import type { EnvironmentRecipe, Task } from "../tasks/task.ts";
import type { Judge, Submission } from "../trajectory/life.ts";

export interface JudgingParts {
  readonly grader: Grader;
  readonly slots: Admission;
  readonly environments: Environments;
  /** The limit that nobody chose: the task's own then counts. */
  readonly defaultGradeMs: number;
  /** Guardrails; 0 = off. */
  readonly maxDiff: DiffSize;
}

/** Grading as trajectories need it: what has to be run waits for a slot. */
export function judging({ grader, slots, environments, defaultGradeMs, maxDiff }: JudgingParts): Judge {
  const guarded = maxDiff.bytes + maxDiff.files + maxDiff.hunks > 0;
  return {
    takeSubmission: (task, sandbox, environment, signal) =>
      grader.takeSubmission(task?.grader ?? {}, sandbox, environment, signal),
    excess: guarded ? ({ patch }) => excessOf(patch, maxDiff) : undefined,
    async judge(task, environment, taken, { gradeMs, submissionMs, signal }) {
      const submission = withinGuardrails(taken, maxDiff);
      const spec = specOf(task);
      const timeoutMs = gradeMs === 0 || gradeMs === defaultGradeMs ? spec.timeoutMs : gradeMs;
      const key = randomBytes(8).toString("hex");
      // A wait that was cut short is told by the grader, as a grade.
      const asked = performance.now();
      const slot = needsRun(submission) ? slots.acquire({ pool: "default", key, signal }) : undefined;
      const lease = await slot?.catch(() => undefined);
      const queuedMs = performance.now() - asked;
      const held = new Set<string>();
      try {
        return await grader.gradeSubmission({
          environment,
          spec,
          ...(task.grader.environment && { verifier: verifierOf(environments, task.grader.environment, held, signal) }),
          submission,
          timeoutMs,
          submissionMs,
          queuedMs,
          signal,
        });
      } finally {
        for (const key of held) environments.release(key);
        lease?.release();
      }
    },
  };
}

function withinGuardrails(submission: Submission, maxDiff: DiffSize): Submission {
  const excess = submission.refused === undefined ? excessOf(submission.patch, maxDiff) : undefined;
  if (excess === undefined) return submission;
  const reason = `the submission is larger than grading.max_diff allows: ${excess}`;
  return { ...submission, refused: { outcome: "SUBMISSION_TOO_LARGE", reason } };
}

/** What is in use is not collected: the caller lets go of what is in `held`. */
function verifierOf(environments: Environments, recipe: EnvironmentRecipe, held: Set<string>, signal: AbortSignal) {
  return async (): Promise<Environment> => {
    const environment = await environments.prepare(recipe, { signal });
    if (!held.has(environment.key)) environments.acquire(environment.key);
    held.add(environment.key);
    return environment;
  };
}

function specOf({ grader }: Task): GraderSpec {
  const { rule, parser, evalType, failToPass, passToPass, expected, stages, apply, script, timeoutMs, official } =
    grader;
  const { files, before, ignored, restore, results, reading, instance } = grader;
  return {
    expectation: {
      rule,
      parser,
      evalType,
      failToPass,
      passToPass,
      expected,
      ...(stages && { stages }),
      ...(instance && { instance }),
    },
    ...{ apply, script, timeoutMs, files, before, ignored, restore, results },
    ...(reading && { reading }),
    ...(official && { officialRule: rule }),
  };
}
