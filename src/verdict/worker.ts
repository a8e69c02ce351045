import { parentPort } from "node:worker_threads";
import { isFault } from "../errors.ts";
import { judgeBytes } from "./judge.ts";
import type { Expectation, Verdict } from "./verdict.ts";

/** The thread in which logs are judged, one at a time. Started by `judge-in-worker.ts` only. */

export interface Question {
  readonly log: Uint8Array;
  readonly expectation: Expectation;
  readonly keepStatuses: number;
}

export type Answer =
  | { readonly kind: "verdict"; readonly verdict: Verdict }
  | { readonly kind: "too_large" | "task" | "bug"; readonly message: string };

parentPort?.on("message", (question: Question) => parentPort?.postMessage(answer(question)));

function answer({ log, expectation, keepStatuses }: Question): Answer {
  try {
    // Shared memory cannot be decoded where it lies.
    const verdict = judgeBytes(log.buffer instanceof SharedArrayBuffer ? log.slice() : log, expectation);
    return { kind: "verdict", verdict: { ...verdict, statuses: verdict.statuses.slice(0, keepStatuses) } };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (isFault(error, "task")) return { kind: "task", message };
    return { kind: error instanceof RangeError ? "too_large" : "bug", message };
  }
}
