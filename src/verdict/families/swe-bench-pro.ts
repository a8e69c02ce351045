import { NO_INSTANCE, type Parser, UnparsableLog } from "../parsers/parser.ts";
import { conclude, noVerdict } from "../swebench-log.ts";
import type { Expectation, Verdict } from "../verdict.ts";
import { JSON_TESTS_PARSERS } from "./json-statuses.ts";

/** The rule of SWE-bench Pro: `swe_bench_pro_eval.py` at ca10a60. Every expected test must be among those that passed. */
export function judgeSweBenchPro(log: string, expectation: Expectation, parse: Parser): Verdict {
  try {
    const statuses = parse(log, NO_INSTANCE);
    const statusOf = (test: string) => statuses.get(test);
    const passed = (status: string | undefined) => status === "PASSED";
    return conclude(statuses, expectation, { statusOf, failToPass: passed, passToPass: passed });
  } catch (error) {
    if (error instanceof UnparsableLog) return noVerdict(`the parser stops at ${error.message}`, { raised: true });
    throw error;
  }
}

export const SWE_BENCH_PRO_PARSERS: ReadonlyMap<string, Parser> = new Map(JSON_TESTS_PARSERS);
