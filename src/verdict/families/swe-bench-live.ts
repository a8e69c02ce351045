import { NO_INSTANCE, type Parser, UnparsableLog } from "../parsers/parser.ts";
import { parsePytest4 } from "../parsers/pytest.ts";
import { conclude, type Judgement, noVerdict } from "../swebench-log.ts";
import type { Expectation, Verdict } from "../verdict.ts";
import { JSON_PARSERS } from "./json-statuses.ts";

/** The rule of SWE-bench-Live: `evaluation/evaluation.py` at 70ec57e. What must go on passing may be absent; what must pass may not. */
export function judgeSweBenchLive(log: string, expectation: Expectation, parse: Parser): Verdict {
  try {
    const statuses = parse(log, NO_INSTANCE);
    const statusOf = (test: string) => statuses.get(test);
    return conclude(statuses, expectation, { statusOf, failToPass: passes, passToPass: stillPasses });
  } catch (error) {
    if (error instanceof UnparsableLog) return noVerdict(`the parser stops at ${error.message}`, { raised: true });
    throw error;
  }
}

/** Words within the status decide; where it has both, it failed. */
const has = (status: string | undefined, word: string): boolean => status?.toLowerCase().includes(word) ?? false;

const passes: Judgement = (status) => !has(status, "fail") && has(status, "pass");

const stillPasses: Judgement = (status) => {
  if (has(status, "fail")) return false;
  return has(status, "pass") ? true : undefined;
};

/** Of the statuses of pytest one passes and one skips; all others, expected failures among them, fail. */
const parsePytest: Parser = (log, instance) =>
  new Map([...parsePytest4(log, instance)].map(([test, status]) => [test, plain(status)]));

function plain(status: string): string {
  if (has(status, "pass")) return "pass";
  return has(status, "skip") ? "skip" : "fail";
}

export const SWE_BENCH_LIVE_PARSERS: ReadonlyMap<string, Parser> = new Map([["pytest", parsePytest], ...JSON_PARSERS]);
