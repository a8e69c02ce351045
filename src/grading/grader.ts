import { createHash, randomBytes } from "node:crypto";
import type { Environment } from "../environments/environment.ts";
import { isFault, SandlotError } from "../errors.ts";
import type { Backend, Limits, Sandbox } from "../sandbox/sandbox.ts";
import { backendOf } from "../sandbox/several.ts";
import { WarmPool } from "../sandbox/warm.ts";
import type { Judge } from "../verdict/judge-in-worker.ts";
import { RULES } from "../verdict/rules.ts";
import { END, START } from "../verdict/swebench-log.ts";
import type { TestGroup, Verdict } from "../verdict/verdict.ts";
import { evidenceOf } from "./evidence.ts";
import { excerpt } from "./excerpt.ts";
import type { Grade, GradeTimings, Outcome, Validity } from "./grade.ts";
import { HOST_OUT_OF_MEMORY } from "./host-pressure.ts";
import { type OfficialRun, type RunTimings, runOfficial } from "./official.ts";
import type { GraderSpec } from "./spec.ts";
import { checkStructure } from "./structural.ts";
import { type Submission, takeSubmission } from "./submission.ts";

export interface GraderOptions {
  readonly backend: Backend;
  /** Where its sandboxes come from and go. Default: none stands ready. */
  readonly warm?: WarmPool;
  readonly judge: Judge;
  /** Ids for the sandboxes that grading makes. */
  readonly newId: () => string;
  /** Of those sandboxes. */
  readonly limits: Limits;
  readonly serverVersion: string;
  /** `structural`: no test is run and no grade has a reward. Default: `tests`. */
  readonly kind?: "tests" | "structural";
  /** What this host lacks now, in words: a run that did not resolve then proves nothing. Undefined = nothing. Default: never asked. */
  readonly hostLacks?: () => Promise<string | undefined>;
  /** Runs a second try while no other is run; the default lets one second try run at a time. */
  readonly alone?: <T>(work: () => Promise<T>, signal: AbortSignal) => Promise<T>;
}

export interface GradeRequest {
  readonly environment: Environment;
  readonly spec: GraderSpec;
  /** Where the tests run when that is not the agent's environment; asked when they do. */
  readonly verifier?: () => Promise<Environment>;
  readonly submission: Submission;
  /** Default: the spec's. */
  readonly timeoutMs?: number;
  /** Ends the grade, which then is CANCELLED. */
  readonly signal: AbortSignal;
  /** Default: a new one. */
  readonly id?: string;
  /** Spent before, for the record. */
  readonly submissionMs?: number;
  readonly queuedMs?: number;
}

interface Finding {
  readonly validity: Validity;
  readonly outcome: Outcome;
  readonly reason: string;
  readonly verdict?: Verdict;
  readonly run?: OfficialRun;
  /** Where there was no run. */
  readonly timings?: RunTimings;
  /** What was judged, where that is not the log. */
  readonly evidence?: Uint8Array;
  readonly verdictMs?: number;
}

/** Whether a submission needs a run at all: an empty or a refused one is judged as it is. */
export function needsRun({ patch, refused }: Submission): boolean {
  return refused === undefined && patch.length > 0;
}

/** Judges submissions. Fails closed: what is not a verdict on a whole log is never a 1, and what the graded code did not cause is never a 0. */
export class Grader {
  readonly #options: GraderOptions;
  readonly #source: WarmPool;
  #lastAlone: Promise<unknown> = Promise.resolve();

  constructor(options: GraderOptions) {
    this.#options = options;
    this.#source = options.warm ?? new WarmPool({ backend: options.backend, perEnvironment: 0, total: 0 });
  }

  /** Resolves when nothing is left of the sandboxes that grades have used until now. */
  settled(): Promise<void> {
    return this.#source.settled();
  }

  /** Reads a work tree without disturbing its sandbox. Fault `sandbox` when the infrastructure failed. */
  takeSubmission(
    { ignored = false }: Pick<GraderSpec, "ignored">,
    sandbox: Sandbox,
    environment: Environment,
    signal: AbortSignal,
  ): Promise<Submission> {
    const { backend, newId, limits } = this.#options;
    return takeSubmission({ backend, source: this.#source, environment, sandbox, ignored, newId, limits, signal });
  }

  /** `takeSubmission`, then `gradeSubmission`. */
  async gradeSandbox(request: Omit<GradeRequest, "submission"> & { readonly sandbox: Sandbox }): Promise<Grade> {
    const { sandbox, ...rest } = request;
    const started = performance.now();
    try {
      const submission = await this.takeSubmission(rest.spec, sandbox, rest.environment, rest.signal);
      return await this.gradeSubmission({ ...rest, submission, submissionMs: performance.now() - started });
    } catch (error) {
      const submission = { patch: new Uint8Array(), leftOut: [] };
      return this.#grade({ ...rest, submission }, withoutVerdict(error, rest.signal));
    }
  }

  /** Throws only for a reason that no grade can carry: a bug, or a server that stops. */
  async gradeSubmission(request: GradeRequest): Promise<Grade> {
    try {
      return this.#grade(request, await this.#find(request));
    } catch (error) {
      return this.#grade(request, withoutVerdict(error, request.signal));
    }
  }

  async #find(request: GradeRequest): Promise<Finding> {
    const { spec, submission, signal } = request;
    signal.throwIfAborted();
    if (this.#options.kind === "structural") return { ...(await this.#structureOf(request)), validity: "STRUCTURAL" };
    const { markers, expects } = RULES[spec.expectation.rule];
    if (markers && !(spec.script.includes(START) && spec.script.includes(END))) {
      throw new SandlotError("task", `the test script lacks "${START}" or "${END}": no log of it can be judged`);
    }
    const known = judgedAsItIs(submission);
    if (known !== undefined) return { validity: "VALID", ...known };
    const first = await this.#try(request);
    const last = wentOverLimit(first)
      ? await (this.#options.alone ?? this.#inTurn)(() => this.settled().then(() => this.#try(request)), signal)
      : first;
    // What a verifier says is all that there is: without it only a second run can tell whose fault that is.
    if (expects === "nothing" && last.run?.kind === "complete" && last.verdict?.found !== true)
      await this.#blame(request);
    const lack = last.outcome === "RESOLVED" ? undefined : (pressure(last) ?? (await this.#hostLacks()));
    return lack === undefined ? last : { ...last, validity: "INFRA", outcome: "NO_VERDICT", reason: lack };
  }

  /** Asked again when the run's own sandbox is gone, so that graded code cannot bring it about. */
  async #hostLacks(): Promise<string | undefined> {
    if ((await this.#options.hostLacks?.()) === undefined) return undefined;
    await this.settled();
    return this.#options.hostLacks?.();
  }

  async #structureOf({ environment, spec, submission, signal }: GradeRequest): Promise<Omit<Finding, "validity">> {
    const { newId, limits } = this.#options;
    const { apply } = spec;
    const { patch } = submission;
    const fresh = { source: this.#source, environment, newId, limits, signal };
    return judgedAsItIs(submission) ?? checkStructure({ ...fresh, apply, patch });
  }

  /** Fault `task`: the tests give no verdict on the untouched repository either. */
  async #blame(request: GradeRequest): Promise<void> {
    const untouched = await this.#try({ ...request, submission: { patch: new Uint8Array(), leftOut: [] } });
    if (untouched.verdict?.found === true) return;
    throw new SandlotError("task", `the verifier gives none on the untouched repository either: ${untouched.reason}`);
  }

  async #try(request: GradeRequest): Promise<Finding> {
    const { spec, submission, signal } = request;
    const { judge, newId, limits } = this.#options;
    const anew = { source: this.#source, newId, limits, signal };
    const timeoutMs = request.timeoutMs ?? spec.timeoutMs;
    const { patch } = submission;
    const environment = (await request.verifier?.()) ?? request.environment;
    const run = await runOfficial({ ...anew, environment, spec, patch, timeoutMs });
    if (run.kind === "not_applied")
      return { validity: "VALID", outcome: "PATCH_DOES_NOT_APPLY", reason: run.reason, run };
    if (run.kind === "over_limit") return { validity: "VALID", outcome: run.outcome, reason: run.reason, run };
    const started = performance.now();
    const evidence = await evidenceOf(run, spec, anew);
    if (evidence.kind === "unreadable") {
      return {
        validity: "VALID",
        outcome: "TESTS_DID_NOT_FINISH",
        reason: evidence.reason,
        run,
        verdictMs: performance.now() - started,
      };
    }
    const judgement = await judge.judge(evidence.data, spec.expectation, signal);
    const verdictMs = performance.now() - started;
    if (judgement.kind === "over_limit") {
      return { validity: "VALID", outcome: "TESTS_DID_NOT_FINISH", reason: judgement.reason, run, verdictMs };
    }
    return {
      validity: "VALID",
      ...conclude(judgement.verdict, run.oomKills),
      verdict: judgement.verdict,
      run,
      ...(evidence.data !== run.log && { evidence: evidence.data }),
      verdictMs,
    };
  }

  readonly #inTurn = <T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> =>
    new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      const mine = this.#lastAlone.then(() => (signal.aborted ? Promise.reject(signal.reason) : work()));
      mine.then(resolve, reject);
      this.#lastAlone = mine.catch(() => {});
    });

  #grade(request: GradeRequest, finding: Finding): Grade {
    const { environment, spec, submission } = request;
    const { validity, outcome, reason, verdict, run, evidence } = finding;
    const log = run === undefined || run.kind === "not_applied" ? undefined : run;
    return {
      id: request.id ?? randomBytes(16).toString("hex"),
      ...(validity === "VALID" ? { reward: outcome === "RESOLVED" ? 1 : 0 } : {}),
      ...{ validity, outcome, reason },
      ...officialOf(spec, verdict),
      assurance: "RULE_ONLY",
      tests: verdict?.found ? countTests(verdict) : {},
      hidden: {
        failToPass: verdict?.failToPass ?? NO_TESTS,
        passToPass: verdict?.passToPass ?? NO_TESTS,
        log:
          log === undefined
            ? ""
            : excerpt(log.log) + (evidence === undefined ? "" : `\n[judged]\n${excerpt(evidence)}`),
      },
      patchBase64: Buffer.from(submission.patch).toString("base64"),
      leftOut: submission.leftOut,
      provenance: {
        environmentKey: environment.key,
        baseCommit: environment.baseCommit,
        seal: environment.seal,
        rule: spec.expectation.rule,
        parser: spec.expectation.parser,
        patchSha256: createHash("sha256").update(submission.patch).digest("hex"),
        logSha256: log?.logSha256 ?? "",
        backend: backendOf(this.#options.backend, environment.backend).name,
        serverVersion: this.#options.serverVersion,
        ...(environment.rootfs.type === "image" && { imageDigest: environment.rootfs.digest }),
      },
      timings: timingsOf(request, finding),
    };
  }
}

/** What needs no look at anything else. */
function judgedAsItIs({ patch, refused }: Submission): Pick<Finding, "outcome" | "reason"> | undefined {
  if (refused !== undefined) return refused;
  return patch.length === 0 ? { outcome: "EMPTY_PATCH", reason: "the submission changes nothing" } : undefined;
}

const NO_TESTS: TestGroup = { success: [], failure: [] };

/** A run that was short of memory and did not resolve counts as one that did not finish. */
function conclude(verdict: Verdict, oomKills: number): Pick<Finding, "outcome" | "reason"> {
  if (verdict.resolved) return { outcome: "RESOLVED", reason: verdict.reason ?? "every expected test passed" };
  if (oomKills > 0) return { outcome: "TESTS_DID_NOT_FINISH", reason: `the tests ran out of memory ${oomKills} times` };
  if (!verdict.found) return { outcome: "TESTS_DID_NOT_FINISH", reason: verdict.problem ?? "the log is not complete" };
  if (verdict.reason !== undefined) return { outcome: "UNRESOLVED", reason: verdict.reason };
  const { failToPass, passToPass } = verdict;
  const reason = `${failToPass.failure.length} of FAIL_TO_PASS and ${passToPass.failure.length} of PASS_TO_PASS did not pass`;
  return { outcome: "UNRESOLVED", reason };
}

/** Whether it is tried once again, alone. */
function wentOverLimit({ run, verdict }: Finding): boolean {
  if (run === undefined || run.kind === "not_applied") return false;
  return run.kind === "over_limit" || ((run.oomKills > 0 || run.hostPressed) && verdict?.resolved !== true);
}

/** That the host had too little memory for a run, in words. */
function pressure({ run }: Finding): string | undefined {
  return run !== undefined && run.kind !== "not_applied" && run.hostPressed ? HOST_OUT_OF_MEMORY : undefined;
}

/** What stands in the place of a verdict when something other than the graded code prevented one. */
function withoutVerdict(error: unknown, signal: AbortSignal): Finding {
  const none = (validity: Validity, reason: string): Finding => ({ validity, outcome: "NO_VERDICT", reason });
  if (signal.aborted) return none("CANCELLED", "the grade was cancelled before there was a verdict");
  if (isFault(error, "sandbox")) return none("INFRA", error.message);
  if (isFault(error, "task")) return none("TASK", error.message);
  throw error;
}

function officialOf(spec: GraderSpec, verdict: Verdict | undefined): Pick<Grade, "officialResolved" | "officialRule"> {
  if (spec.officialRule === undefined) return {};
  const { officialRule } = spec;
  return verdict === undefined ? { officialRule } : { officialRule, officialResolved: verdict.resolved };
}

function countTests({ failToPass, passToPass }: Verdict): Grade["tests"] {
  const count = ({ success, failure }: TestGroup) => ({ passed: success.length, failed: failure.length });
  return { FAIL_TO_PASS: count(failToPass), PASS_TO_PASS: count(passToPass) };
}

function timingsOf(
  { submissionMs = 0, queuedMs = 0 }: GradeRequest,
  { run, timings, verdictMs = 0 }: Finding,
): GradeTimings {
  const { sandboxMs, applyMs, testMs } = timings ?? run?.timings ?? { sandboxMs: 0, applyMs: 0, testMs: 0 };
  return { queuedMs, submissionMs, sandboxMs, applyMs, testMs, verdictMs };
}
