import { randomBytes } from "node:crypto";
import { SandlotError } from "../errors.ts";
import type { Life, Submission } from "./life.ts";
import type { GradeIntent, GradeOutcome, SubmissionTaken } from "./lines.ts";
import { GONE_MS, settled } from "./waiting.ts";

export type FinalGrade = GradeOutcome;

export interface Finalizing {
  readonly submitted: boolean;
  /** Where it was read already. */
  readonly taken?: Taken | undefined;
}

export interface Taken {
  readonly submission: Submission;
  readonly tookMs: number;
}

/** Key of the one final grade in a ledger. */
export const FINAL = "grade:final";

const NOTHING: Submission = { patch: new Uint8Array(), leftOut: [] };

/**
 * The one final judgement: intent, submission, verdict, each journalled before the next begins, so that a server that was killed in between carries on. The sandbox goes as soon as the submission
 * is in the journal.
 */
export async function finalize(life: Life, { submitted, taken }: Finalizing): Promise<FinalGrade> {
  if (life.ledger.final) return life.ledger.final;
  const intent = life.ledger.finalIntent ?? intend(life, { key: FINAL, final: true, submitted });
  const submission = await takeOnce(life, intent.gradeId, taken).catch((error: unknown) => {
    if (life.ending.aborted) return NOTHING; // a judge whose signal has fired says CANCELLED
    throw error;
  });
  const gone = life.giveBackSandbox();
  const outcome = await judgeOnce(life, intent, submission);
  await settled(gone, GONE_MS);
  return outcome;
}

/** A look at the present work tree that disturbs nothing. `judged` runs outside of the queue: only the submission needs the sandbox. */
export async function lookNow(life: Life, key: string): Promise<{ judged: () => Promise<GradeOutcome> }> {
  const known = life.ledger.entries.get(key);
  if (known?.answer) {
    const { answer } = known;
    return { judged: async () => life.read(answer) as GradeOutcome }; // the ledger pairs the key with it
  }
  const intent = known ? (known.intent as GradeIntent) : intend(life, { key, final: false, submitted: false });
  const submission = await takeOnce(life, intent.gradeId);
  return { judged: () => judgeOnce(life, intent, submission) };
}

function intend(life: Life, facts: Pick<GradeIntent, "key" | "final" | "submitted">): GradeIntent {
  const intent: GradeIntent = { type: "grading", at: Date.now(), gradeId: randomBytes(16).toString("hex"), ...facts };
  life.write(intent);
  return intent;
}

async function takeOnce(life: Life, gradeId: string, early?: Taken): Promise<Submission> {
  const known = life.ledger.submissions.get(gradeId);
  if (known) return restore(known);
  const { submission, tookMs } = early ?? (await take(life));
  const { patch, leftOut, refused } = submission;
  life.write({
    type: "submission",
    at: Date.now(),
    gradeId,
    patchBase64: Buffer.from(patch).toString("base64"),
    leftOut,
    tookMs,
    ...(refused ? { refused: refused.outcome, reason: refused.reason } : {}),
  });
  return submission;
}

/** Reads the work tree as it is now, and writes nothing down. */
export async function take(life: Life): Promise<Taken> {
  if (!life.sandbox) throw new SandlotError("sandbox", "the sandbox was lost before its work tree could be read");
  const began = performance.now();
  const { task, sandbox, ledger, ending } = life;
  const submission = await life.judge.takeSubmission(task, sandbox, ledger.created.environment, ending);
  return { submission, tookMs: performance.now() - began };
}

async function judgeOnce(life: Life, intent: GradeIntent, submission: Submission): Promise<GradeOutcome> {
  const { gradeId, key, final, submitted } = intent;
  const { environment, limits } = life.ledger.created;
  if (life.task === undefined) throw new Error("a bare sandbox was about to be graded");
  const submissionMs = life.ledger.submissions.get(gradeId)?.tookMs ?? 0;
  const grade = await life.judge.judge(life.task, environment, submission, {
    gradeMs: limits.gradeMs,
    submissionMs,
    signal: life.ending,
  });
  const outcome: GradeOutcome = { type: "grade", at: Date.now(), gradeId, key, final, submitted, grade };
  life.write(outcome);
  return outcome;
}

function restore({ patchBase64, leftOut, refused, reason }: SubmissionTaken): Submission {
  const patch = Buffer.from(patchBase64, "base64");
  return refused ? { patch, leftOut, refused: { outcome: refused, reason: reason ?? "" } } : { patch, leftOut };
}
