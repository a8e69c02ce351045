import type { Parser } from "./parsers/parser.ts";
import { judgeSwebench5 } from "./swebench-5.ts";
import type { Expectation, RuleName, Verdict } from "./verdict.ts";

/** What a log, read as UTF-8 text, says of an expectation whose parser has been looked up. */
export type Rule = (log: string, expectation: Expectation, parse: Parser) => Verdict;

export const RULES: Readonly<Record<RuleName, Rule>> = {
  "swebench@5.0.2": judgeSwebench5,
};
