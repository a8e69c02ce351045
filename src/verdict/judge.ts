import { SandlotError } from "../errors.ts";
import { decodeStrictly, decodeUtf8 } from "./python-text.ts";
import { RULES, type Rule } from "./rules.ts";
import { noVerdict } from "./swebench-log.ts";
import type { Expectation, Verdict } from "./verdict.ts";

/** The verdict of a rule on a whole log. Pure. Fault `task`: the expectation names a parser or a rule that is not in the tables. */
export function judge(log: string, expectation: Expectation): Verdict {
  const rule = ruleOf(expectation);
  const parse = rule.parsers.get(expectation.parser);
  if (parse === undefined) throw unknownName("parser", expectation.parser, [...rule.parsers.keys()]);
  return rule.judge(log, expectation, parse);
}

/** The same of the bytes that the tests printed: how they become text is part of the rule. */
export function judgeBytes(log: Uint8Array, expectation: Expectation): Verdict {
  const text = ruleOf(expectation).encoding === "strict" ? decodeStrictly(log) : decodeUtf8(log);
  return text === undefined ? noVerdict("the log is not UTF-8", { raised: true }) : judge(text, expectation);
}

function ruleOf({ rule }: Expectation): Rule {
  if (Object.hasOwn(RULES, rule)) return RULES[rule];
  throw unknownName("rule", rule, Object.keys(RULES));
}

function unknownName(kind: "parser" | "rule", got: string, names: readonly string[]): SandlotError {
  return new SandlotError("task", `no ${kind} is called ${JSON.stringify(got)}; expected one of ${names.join(", ")}`, {
    field: `grader.${kind}`,
  });
}
