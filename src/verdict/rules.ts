import { HARBOR_PARSERS, judgeHarbor } from "./families/harbor.ts";
import { judgeMultiSweBench, MULTI_SWE_BENCH_PARSERS } from "./families/multi-swe-bench.ts";
import { judgeR2eGym, R2E_GYM_PARSERS } from "./families/r2e-gym.ts";
import { judgeSweBenchLive, SWE_BENCH_LIVE_PARSERS } from "./families/swe-bench-live.ts";
import { judgeSweBenchPro, SWE_BENCH_PRO_PARSERS } from "./families/swe-bench-pro.ts";
import { judgeSweGym, SWE_GYM_PARSERS } from "./families/swe-gym.ts";
import { judgeSweRebench, SWE_REBENCH_PARSERS } from "./families/swe-rebench.ts";
import { judgeSweRebenchV2, SWE_REBENCH_V2_PARSERS } from "./families/swe-rebench-v2.ts";
import { judgeSweSmith, SWE_SMITH_PARSERS } from "./families/swe-smith.ts";
import type { Parser } from "./parsers/parser.ts";
import { PARSERS, PARSERS_4 } from "./parsers.ts";
import { judgeSwebench4 } from "./swebench-4.ts";
import { judgeSwebench5 } from "./swebench-5.ts";
import type { Expectation, RuleName, Verdict } from "./verdict.ts";

/** One way to come from a log to a verdict. */
export interface Rule {
  /** What the names of parsers mean to this rule. */
  readonly parsers: ReadonlyMap<string, Parser>;
  /** Bytes that are not UTF-8 are replaced, or else nothing is read. */
  readonly encoding: "replace" | "strict";
  /** Whether a log without the markers around the tests tells it nothing. */
  readonly markers: boolean;
  /** What an expectation must not lack. */
  readonly expects: "tests" | "map" | "nothing";
  /** What a log says of an expectation whose parser has been looked up. */
  readonly judge: (log: string, expectation: Expectation, parse: Parser) => Verdict;
}

export const RULES: Readonly<Record<RuleName, Rule>> = {
  "swebench@5.0.2": {
    ...{ parsers: PARSERS, encoding: "replace", markers: true, expects: "tests" },
    judge: judgeSwebench5,
  },
  "swebench@4.1.0": {
    ...{ parsers: PARSERS_4, encoding: "strict", markers: true, expects: "tests" },
    judge: judgeSwebench4,
  },
  "swe-smith@3a7c6bb": {
    ...{ parsers: SWE_SMITH_PARSERS, encoding: "replace", markers: true, expects: "tests" },
    judge: judgeSweSmith,
  },
  "r2e-gym@69bc953": {
    ...{ parsers: R2E_GYM_PARSERS, encoding: "replace", markers: false, expects: "map" },
    judge: judgeR2eGym,
  },
  "swe-gym@16dd480": {
    ...{ parsers: SWE_GYM_PARSERS, encoding: "strict", markers: false, expects: "tests" },
    judge: judgeSweGym,
  },
  "swe-rebench@39316f7": {
    ...{ parsers: SWE_REBENCH_PARSERS, encoding: "strict", markers: true, expects: "tests" },
    judge: judgeSweRebench,
  },
  "swe-rebench-v2@c71902a": {
    ...{ parsers: SWE_REBENCH_V2_PARSERS, encoding: "strict", markers: false, expects: "tests" },
    judge: judgeSweRebenchV2,
  },
  "swe-bench-live@70ec57e": {
    ...{ parsers: SWE_BENCH_LIVE_PARSERS, encoding: "replace", markers: false, expects: "tests" },
    judge: judgeSweBenchLive,
  },
  "swe-bench-pro@ca10a60": {
    ...{ parsers: SWE_BENCH_PRO_PARSERS, encoding: "replace", markers: false, expects: "tests" },
    judge: judgeSweBenchPro,
  },
  "multi-swe-bench@24f493f": {
    ...{ parsers: MULTI_SWE_BENCH_PARSERS, encoding: "replace", markers: false, expects: "tests" },
    judge: judgeMultiSweBench,
  },
  "harbor@1.3": {
    ...{ parsers: HARBOR_PARSERS, encoding: "replace", markers: false, expects: "nothing" },
    judge: judgeHarbor,
  },
};
