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
  /** What a log says of an expectation whose parser has been looked up. */
  readonly judge: (log: string, expectation: Expectation, parse: Parser) => Verdict;
}

export const RULES: Readonly<Record<RuleName, Rule>> = {
  "swebench@5.0.2": { parsers: PARSERS, encoding: "replace", judge: judgeSwebench5 },
  "swebench@4.1.0": { parsers: PARSERS_4, encoding: "strict", judge: judgeSwebench4 },
};
