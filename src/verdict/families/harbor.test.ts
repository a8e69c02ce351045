import { describe, expect, it } from "vitest";
import { judge } from "../judge.ts";
import { REWARD_JSON, REWARD_TEXT } from "./harbor.ts";

const judged = (json: string | null, text: string | null) =>
  judge(JSON.stringify({ [REWARD_JSON]: json, [REWARD_TEXT]: text }), {
    ...{ rule: "harbor@1.3", parser: "reward", evalType: "pass_and_fail", failToPass: [], passToPass: [] },
  });

describe("the rule of Harbor", () => {
  it.each(["1", " 1.0\n", "1e0", "+1", "1_0", "inf", "2"])("resolves at %j in reward.txt", (text) => {
    expect(judged(null, text)).toMatchObject({ found: true, resolved: true });
  });

  it.each(["0", "0.999", "-1", ".5", "-inf"])("does not at %j", (text) => {
    expect(judged(null, text)).toMatchObject({
      found: true,
      resolved: false,
      reason: `the verifier gave ${Number(text.replace("inf", "Infinity"))}`,
    });
  });

  it("goes by reward.json first: by `reward`, else by the only number, else by reward.txt", () => {
    expect(judged('{"reward": 1}', "0").resolved).toBe(true);
    expect(judged('{"reward": 0, "accuracy": 1}', "1").resolved).toBe(false);
    expect(judged('{"accuracy": 1, "why": "x", "ok": true}', null).resolved).toBe(true);
    expect(judged('{"accuracy": 1, "seconds": 2}', "0").resolved).toBe(false);
    expect(judged('{"accuracy": 0, "seconds": 2}', "1").resolved).toBe(true);
  });

  it("reads the numbers of Python, of which only the reward must be one", () => {
    expect(judged('{"reward": 1.0, "deviation": NaN, "best": Infinity, "why": "NaN"}', null).resolved).toBe(true);
    expect(judged('{"reward": Infinity}', null).resolved).toBe(true);
    expect(judged('{"reward": -Infinity}', "1").resolved).toBe(false);
  });

  it.each([
    ['{"reward": NaN}', "1"],
    ['{"reward": 1, "x": nan}', "1"],
    [null, null],
    [null, ""],
    [null, "one"],
    [null, "0x1"],
    [null, "nan"],
    ["", "1"],
    ["[1]", "1"],
    ["1", null],
    ["{}", null],
    ['{"reward": "1"}', null],
    ['{"reward": true}', null],
    ['{"a": 1, "b": 1}', null],
  ])("has no verdict on reward.json %j with reward.txt %j", (json, text) => {
    expect(judged(json, text)).toMatchObject({ found: false, raised: true, resolved: false });
  });
});
