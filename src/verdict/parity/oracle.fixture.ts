import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll } from "vitest";
import type { Instance, RuleName } from "../verdict.ts";

/** The official releases, as `scripts/swebench` installs them. */

const ROOT = resolve(import.meta.dirname, "../../..");
const PYTHON = join(ROOT, ".venv/bin/python");

export type Question =
  | { readonly operation: "parse"; readonly parser: string; readonly log: string; readonly instance: Instance }
  | { readonly operation: "report"; readonly row: object; readonly log: string; readonly patch: string | null }
  | {
      readonly operation: "run_report";
      readonly predictions: object;
      readonly rows: readonly object[];
      readonly run_id: string;
      readonly files: Readonly<Record<string, string>>;
    };

/** What the official code returns, or that it raises. */
export type Answer = { readonly answer: unknown } | { readonly raises: string };

function packageOf(rule: RuleName): string {
  return join(ROOT, ".cache/swebench", rule.slice("swebench@".length));
}

/** The oracle of a rule while the tests of a suite run, and why there is none, if so: that is printed, and the tests are to be skipped. */
export function oracleOf(rule: RuleName) {
  const reason = absent(rule);
  if (reason !== undefined) console.warn(`the comparison with ${rule} is skipped: ${reason}`);
  let oracle: Oracle | undefined;
  beforeAll(() => {
    if (reason === undefined) oracle = new Oracle(rule);
  });
  afterAll(() => oracle?.[Symbol.asyncDispose]());
  const ask = async (questions: readonly Question[]): Promise<readonly Answer[]> => {
    if (!oracle) throw new Error("the oracle answers only while tests run");
    return await oracle.ask(questions);
  };
  return { reason, ask };
}

function absent(rule: RuleName): string | undefined {
  const grading = join(packageOf(rule), "swebench/harness/grading.py");
  return [PYTHON, grading].every(existsSync) ? undefined : `no ${packageOf(rule)}: run scripts/swebench`;
}

/** A long-lived process that answers with the code of one release. The owner disposes. */
class Oracle implements AsyncDisposable {
  readonly #process;
  readonly #lines;

  constructor(rule: RuleName) {
    const script = join(import.meta.dirname, "oracle.py");
    this.#process = spawn(PYTHON, ["-B", "-X", "utf8", script, packageOf(rule)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  /** One list at a time. */
  async ask(questions: readonly Question[]): Promise<readonly Answer[]> {
    this.#process.stdin.write(`${JSON.stringify(questions)}\n`);
    const line = await this.#lines.next();
    if (line.done) throw new Error("the oracle ended");
    return JSON.parse(line.value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const ended = new Promise((done) => this.#process.once("exit", done));
    this.#process.stdin.end();
    await ended;
  }
}
