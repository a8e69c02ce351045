import { SandlotError } from "../errors.ts";
import { PARSERS } from "./parsers.ts";
import { RULES } from "./rules.ts";
import type { Expectation, Verdict } from "./verdict.ts";

/** The verdict of a rule on a whole log. Pure. Fault `task`: the expectation names a parser or a rule that is not in the tables. */
export function judge(log: string, expectation: Expectation): Verdict {
  const rule = Object.hasOwn(RULES, expectation.rule) ? RULES[expectation.rule] : undefined;
  if (rule === undefined) throw unknownName("rule", expectation.rule, Object.keys(RULES));
  const parse = PARSERS.get(expectation.parser);
  if (parse === undefined) throw unknownName("parser", expectation.parser, [...PARSERS.keys()]);
  return rule(log, expectation, parse);
}

function unknownName(kind: "parser" | "rule", got: string, names: readonly string[]): SandlotError {
  return new SandlotError("task", `no ${kind} is called ${JSON.stringify(got)}; expected one of ${names.join(", ")}`, {
    field: `grader.${kind}`,
  });
}
