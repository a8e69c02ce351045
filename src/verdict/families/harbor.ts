import { z } from "zod";
import type { Parser } from "../parsers/parser.ts";
import { parsePythonJson } from "../python-json.ts";
import { strip } from "../python-text.ts";
import { noVerdict } from "../swebench-log.ts";
import type { Expectation, Verdict } from "../verdict.ts";

export const REWARD_JSON = "/logs/verifier/reward.json";
export const REWARD_TEXT = "/logs/verifier/reward.txt";

/**
 * The rule of Harbor (`verifier/verifier.py`, task schema 1.3): the reward is what the verifier wrote, `reward.json` before `reward.txt`; the exit code of the verifier does not count. Upstream a
 * missing or unreadable reward is an error, not 0. Ours: resolved is a reward of at least 1, that is `reward` or the only number there is.
 */
export function judgeHarbor(results: string, _: Expectation, __: Parser): Verdict {
  const read = readReward(JSON.parse(results));
  if (typeof read === "string") return noVerdict(read, { raised: true });
  const none = { success: [], failure: [] };
  const statuses = read.all.map(([name, value]) => [name, String(value)] as const);
  return {
    ...{ found: true, raised: false, resolved: read.reward >= 1, statuses, failToPass: none, passToPass: none },
    reason: `the verifier gave ${read.reward}`,
  };
}

interface Reward {
  readonly reward: number;
  readonly all: readonly (readonly [name: string, value: number])[];
}

/** The reward, or why there is none. */
function readReward(files: Readonly<Record<string, string | null>>): Reward | string {
  const json = files[REWARD_JSON] ?? undefined;
  const text = files[REWARD_TEXT] ?? undefined;
  if (json === undefined) {
    if (text === undefined) return "the verifier wrote no reward";
    const value = pythonFloat(text);
    return value === undefined ? "reward.txt is no number" : chosen([["reward", value]]);
  }
  const parsed = z.record(z.string(), z.unknown()).safeParse(jsonOf(json));
  if (!parsed.success) return "reward.json is no object";
  const all = Object.entries(parsed.data).flatMap(([name, value]) =>
    typeof value === "number" ? [[name, value] as const] : [],
  );
  const fallback = text === undefined || all.some(([name]) => name === "reward") ? undefined : pythonFloat(text);
  return chosen(fallback === undefined ? all : [...all, ["reward", fallback]]);
}

function chosen(all: Reward["all"]): Reward | string {
  const [, reward] = all.find(([name]) => name === "reward") ?? (all.length === 1 ? all[0] : undefined) ?? [];
  if (reward === undefined) return `expected a reward, or one number, got ${all.length} numbers`;
  return Number.isNaN(reward) ? "the reward is not a number" : { reward, all };
}

function jsonOf(text: string): unknown {
  try {
    return parsePythonJson(text);
  } catch {
    return undefined;
  }
}

/** `float(text)`. */
function pythonFloat(text: string): number | undefined {
  const bare = strip(text).toLowerCase();
  if (/^[+-]?(inf|infinity)$/.test(bare)) return bare.startsWith("-") ? -Infinity : Infinity;
  if (/^[+-]?nan$/.test(bare)) return Number.NaN;
  const digits = "\\d+(?:_\\d+)*";
  const number = new RegExp(`^[+-]?(?:${digits}\\.?(?:${digits})?|\\.${digits})(?:e[+-]?${digits})?$`);
  return number.test(bare) ? Number(bare.replaceAll("_", "")) : undefined;
}

export const HARBOR_PARSERS: ReadonlyMap<string, Parser> = new Map([["reward", () => new Map()]]);
