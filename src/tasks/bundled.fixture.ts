import { execFile } from "node:child_process";
import { createReadStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { judge } from "../verdict/judge.ts";
import type { Verdict } from "../verdict/verdict.ts";
import type { Task } from "./task.ts";

interface Ended {
  readonly exitCode: number;
  /** stdout, then stderr. */
  readonly output: string;
}

/** A bundled task's repository at its base commit in a temporary folder of this host. For trusted patches only: there is no sandbox. */
export class Workplace {
  readonly #folder: string;
  readonly #task: Task;

  private constructor(folder: string, task: Task) {
    this.#folder = folder;
    this.#task = task;
  }

  static async of(task: Task): Promise<Workplace> {
    const place = new Workplace(await mkdtemp(join(tmpdir(), "workplace-")), task);
    const { repository } = task.environment;
    if (repository.type !== "fast-export") throw new Error(`expected a fast-export stream, got ${repository.type}`);
    await place.git("init", "-q", "-b", "main");
    const imported = place.#run("git", ["fast-import", "--quiet"], repository.path);
    await expectSuccess(imported);
    await place.git("reset", "-q", "--hard", "main");
    return place;
  }

  async git(...words: string[]): Promise<string> {
    return (await expectSuccess(this.#run("git", words))).trim();
  }

  /** Runs a command on the base commit with a patch on top. */
  async play(patch: string, command: string): Promise<Ended> {
    await this.git("reset", "-q", "--hard", this.#task.environment.baseCommit);
    await this.git("clean", "-qfdx");
    if (patch !== "") await expectSuccess(this.#run("bash", ["-c", `git apply - <<'END'\n${patch}\nEND`]));
    return this.#run("bash", ["-c", command]);
  }

  /** What the task's own script and rule say of a patch. */
  async grade(patch: string): Promise<Verdict> {
    const { script, rule, parser, evalType, failToPass, passToPass } = this.#task.grader;
    // One descriptor for both streams, as grading does it.
    const ended = await this.play(patch, `exec 2>&1\n${script}`);
    return judge(ended.output, { rule, parser, evalType, failToPass, passToPass });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  #run(program: string, words: readonly string[], stdin?: string): Promise<Ended> {
    const env = { PATH: process.env["PATH"], HOME: this.#folder, GIT_CONFIG_NOSYSTEM: "1", LC_ALL: "C.UTF-8" };
    const options = { cwd: this.#folder, env, timeout: 30_000, maxBuffer: 4 * 2 ** 20 };
    return new Promise((resolve, reject) => {
      const child = execFile(program, words, options, (error, stdout, stderr) => {
        if (error !== null && typeof error.code !== "number") reject(error);
        else resolve({ exitCode: Number(error?.code ?? 0), output: stdout + stderr });
      });
      if (child.stdin === null) return;
      if (stdin === undefined) child.stdin.end();
      else pipeline(createReadStream(stdin), child.stdin).catch(reject);
    });
  }
}

async function expectSuccess(running: Promise<Ended>): Promise<string> {
  const { exitCode, output } = await running;
  if (exitCode !== 0) throw new Error(`expected exit code 0, got ${exitCode}: ${output}`);
  return output;
}
