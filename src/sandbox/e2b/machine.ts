import { setTimeout as sleep } from "node:timers/promises";
import { SandlotError } from "../../errors.ts";
import { RunnerGone } from "../runner/line.ts";
import type { Account, Lent } from "./account.ts";
import { Envd, EnvdError } from "./envd.ts";

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const ATTEMPTS = 4;
const OUTPUT_BYTES = 64 * 1_024;

/** A machine of the service, beside what runs in its sandbox: what is done here is done as its root. */
export class Machine {
  readonly lent: Lent;
  readonly envd: Envd;
  readonly #account: Account;

  constructor(lent: Lent, account: Account) {
    this.lent = lent;
    this.envd = new Envd(account.daemonOf(lent));
    this.#account = account;
  }

  /** Runs a script that does no harm when it is run twice, to its end; fault `sandbox` with its words when it fails, or does not end. */
  async run(script: string, ...words: readonly string[]): Promise<string> {
    const until = performance.now() + this.envd.waits.scriptMs;
    const { code, stdout, stderr } = await this.#again(() =>
      this.#ran(["/bin/bash", "-c", script, "sandlot", ...words], until),
    );
    if (code === 0) return stdout;
    throw new SandlotError("sandbox", `a machine's own command ended with ${code}: ${stderr.trim().slice(-1_000)}`);
  }

  /** As `run`, of a script that prints a number: some daemons lose what a short program prints. */
  async measure(script: string, ...words: readonly string[]): Promise<number> {
    let said = "";
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      said = (await this.run(script, ...words)).trim();
      if (/^\d+$/.test(said)) return Number(said);
    }
    throw new SandlotError(
      "sandbox",
      `expected a machine's own command to print a number, got "${said.slice(0, 100)}"`,
    );
  }

  /** `data` begins anew with every call. */
  async upload(path: string, data: () => AsyncIterable<Uint8Array>): Promise<void> {
    await this.#again(() => this.envd.upload(path, data()));
  }

  /** All of a file of that size, or fault `sandbox`: a service may end an answer early and not say so. */
  async *download(path: string, bytes: number): AsyncGenerator<Uint8Array> {
    let left = bytes;
    for (let attempt = 1; left === bytes && attempt <= ATTEMPTS; attempt++) {
      try {
        for await (const part of this.envd.download(path, bytes)) {
          left -= part.length;
          yield part;
        }
        break;
      } catch (error) {
        if (!(error instanceof EnvdError)) throw error;
        if (left !== bytes || attempt === ATTEMPTS) throw new SandlotError("sandbox", error.message, { cause: error });
        await this.#rest(attempt);
      }
    }
    if (left !== 0) throw new SandlotError("sandbox", `expected a file of ${bytes} bytes, got ${bytes - left}`);
  }

  exists(): Promise<boolean> {
    return this.#account.exists(this.lent.sandboxId);
  }

  async #ran(argv: [string, ...string[]], until: number): Promise<Ran> {
    const telling = await this.envd.start(argv, false);
    const late = setTimeout(() => telling.close(), Math.max(0, until - performance.now()));
    const said = { stdout: "", stderr: "" };
    try {
      for await (const event of telling) {
        if (event.type === "end") return { code: event.exitCode, ...said };
        if (event.type === "start") continue;
        said[event.type] = (said[event.type] + event.data.toString("utf8")).slice(-OUTPUT_BYTES);
      }
      throw new EnvdError(0, "", "the line to the process ended before the process");
    } catch (error) {
      if (performance.now() < until) throw error;
      const words = `a machine's own command did not end within ${this.envd.waits.scriptMs / 1_000} s`;
      throw new SandlotError("sandbox", words, { cause: error });
    } finally {
      clearTimeout(late);
    }
  }

  async #again<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof EnvdError)) throw error;
        if ((await this.exists().catch(() => true)) === false)
          throw new RunnerGone("the sandbox is gone", { cause: error });
        if (attempt === ATTEMPTS) throw new SandlotError("sandbox", error.message, { cause: error });
      }
      await this.#rest(attempt);
    }
  }

  #rest(attempt: number): Promise<void> {
    return sleep((this.envd.waits.pauseMs / 2) * 2 ** attempt * (0.5 + Math.random()));
  }
}
