import { describe, expect, it } from "vitest";
import { UnparsableLog } from "../parsers/parser.ts";
import { RULES } from "../rules.ts";
import type { Instance, RuleName } from "../verdict.ts";
import { Chance } from "./chance.fixture.ts";
import { logOf } from "./generated-log.fixture.ts";
import type { Grammar } from "./grammar.fixture.ts";
import { COUNT, grammarsOf, SEED } from "./grammars.fixture.ts";
import { type Answer, oracleOf } from "./oracle.fixture.ts";

interface Case {
  readonly parser: string;
  readonly log: string;
  readonly instance: Instance;
}

describe.each(["swebench@5.0.2", "swebench@4.1.0"] as const)("%s on generated logs", (rule) => {
  const { reason, ask } = oracleOf(rule);

  it.skipIf(reason !== undefined).each(grammarsOf(rule))(
    "reads them with $name as the official code does",
    async (grammar) => {
      const cases = casesOf(grammar, new Chance(SEED));
      const answers = await ask(cases.map((one) => ({ operation: "parse", ...one })));
      for (const [index, one] of cases.entries())
        expect(ours(rule, one), describeCase(one)).toEqual(theirs(answers[index]));
    },
  );
});

function casesOf(grammar: Grammar, chance: Chance): readonly Case[] {
  return Array.from({ length: COUNT }, () => ({
    parser: chance.of(grammar.parsers),
    log: logOf(grammar, chance),
    instance: { id: chance.of(grammar.ids ?? ["a__b-1"]), version: chance.of(grammar.versions ?? ["1.0"]) },
  }));
}

function describeCase({ parser, log, instance }: Case): string {
  return `${parser} of ${JSON.stringify(instance)} on ${JSON.stringify(log)} (SANDLOT_PARITY_SEED=${SEED})`;
}

function ours(rule: RuleName, { parser, log, instance }: Case): unknown {
  try {
    return [...(RULES[rule].parsers.get(parser)?.(log, instance) ?? [])];
  } catch (error) {
    if (error instanceof UnparsableLog) return "raises";
    throw error;
  }
}

function theirs(answer: Answer | undefined): unknown {
  return answer !== undefined && "answer" in answer ? answer.answer : "raises";
}
