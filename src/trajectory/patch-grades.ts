import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Environments } from "../environments/prepare.ts";
import { SandlotError } from "../errors.ts";
import type { Grade } from "../grading/grade.ts";
import type { Backend } from "../sandbox/sandbox.ts";
import type { Task } from "../tasks/task.ts";
import type { Judge } from "./life.ts";
import { prepareTask } from "./playing.ts";
import type { Waiting } from "./rollouts.ts";
import { waitFor } from "./waiting.ts";

interface PatchGradesOptions {
  readonly stateDir: string;
  readonly backend: Backend;
  readonly environments: Environments;
  readonly judge: Judge;
}

interface PatchCall {
  readonly patch: Uint8Array;
  readonly gradeMs: number;
  /** Empty = a fresh judgement. */
  readonly callId: string;
}

interface Stored {
  readonly digest: string;
  readonly grade: Grade;
}

/** Judgements on bare patches. With a call id a judgement is made once: `<state>/grades/<sha256 of the id>.json` keeps it across restarts; without a reward it is not kept. */
export class PatchGrades {
  readonly #folder: string;
  readonly #backend: Backend;
  readonly #environments: Environments;
  readonly #judge: Judge;
  readonly #underWay = new Map<string, { readonly digest: string; readonly work: Promise<Grade> }>();
  /** Ends judgements in the making when the server closes. */
  readonly #closing = new AbortController();

  constructor({ stateDir, backend, environments, judge }: PatchGradesOptions) {
    this.#folder = join(stateDir, "grades");
    this.#backend = backend;
    this.#environments = environments;
    this.#judge = judge;
  }

  async grade(task: Task, call: PatchCall, waiting: Waiting): Promise<Grade> {
    const digest = createHash("sha256").update(`${task.id}\0${call.gradeMs}\0`).update(call.patch).digest("hex");
    if (call.callId === "") return waitFor(this.#make(task, call), waiting);
    const known = this.#underWay.get(call.callId) ?? this.#stored(call.callId) ?? this.#begin(task, call, digest);
    if (known.digest !== digest)
      throw new SandlotError(
        "invalid",
        `call_id "${call.callId}" was used before with another patch or task; a repeated call must repeat them`,
        { field: "call_id" },
      );
    return "grade" in known ? known.grade : waitFor(known.work, waiting);
  }

  close(): void {
    this.#closing.abort(new SandlotError("draining", "the server stops"));
  }

  #begin(task: Task, call: PatchCall, digest: string): { digest: string; work: Promise<Grade> } {
    const work = this.#make(task, call)
      .then((grade) => {
        if (grade.validity === "VALID") this.#store(call.callId, { digest, grade });
        return grade;
      })
      .finally(() => this.#underWay.delete(call.callId));
    const begun = { digest, work };
    this.#underWay.set(call.callId, begun);
    return begun;
  }

  async #make(task: Task, { patch, gradeMs }: PatchCall): Promise<Grade> {
    const { signal } = this.#closing;
    const ground = { backend: this.#backend, environments: this.#environments };
    const environment = await prepareTask(ground, task, { signal });
    this.#environments.acquire(environment.key);
    try {
      return await this.#judge.judge(
        task,
        environment,
        { patch, leftOut: [] },
        { gradeMs: gradeMs || task.grader.timeoutMs, submissionMs: 0, signal },
      );
    } finally {
      this.#environments.release(environment.key);
    }
  }

  #stored(callId: string): Stored | undefined {
    try {
      return JSON.parse(readFileSync(this.#path(callId), "utf8")) as Stored; // our own file
    } catch {
      return undefined; // not made yet
    }
  }

  #store(callId: string, stored: Stored): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const path = this.#path(callId);
    writeFileSync(`${path}.new`, JSON.stringify(stored), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  #path(callId: string): string {
    return join(this.#folder, `${createHash("sha256").update(callId).digest("hex")}.json`);
  }
}
