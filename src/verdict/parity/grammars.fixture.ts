import { RULES } from "../rules.ts";
import type { RuleName } from "../verdict.ts";
import type { Grammar } from "./grammar.fixture.ts";
import { JAVASCRIPT } from "./grammars-javascript.fixture.ts";
import { OTHER } from "./grammars-other.fixture.ts";
import { PYTHON } from "./grammars-python.fixture.ts";

/** Generated logs per grammar and release; the seed of a failure repeats it. */
export const COUNT = Number(process.env["SANDLOT_PARITY_LOGS"] ?? 300);
export const SEED = Number(process.env["SANDLOT_PARITY_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

/** Those of a rule's parsers, each named by the first. */
export function grammarsOf(rule: RuleName): readonly (Grammar & { readonly name: string })[] {
  const known = RULES[rule].parsers;
  return [...PYTHON, ...JAVASCRIPT, ...OTHER].flatMap((grammar) => {
    const parsers = grammar.parsers.filter((name) => known.has(name));
    return parsers[0] === undefined ? [] : [{ ...grammar, parsers, name: parsers[0] }];
  });
}
