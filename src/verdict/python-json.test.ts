import { describe, expect, it } from "vitest";
import { parsePythonJson } from "./python-json.ts";

describe("JSON as Python reads it", () => {
  it("has numbers that JSON has not, and strings that look like them", () => {
    const text = '{"a": NaN, "b": [Infinity,-Infinity], "NaN": "Infinity", "c": "\\"NaN", "d": "x\\\\", "NaN\'": NaN}';
    expect(parsePythonJson(text)).toEqual({
      ...{ a: Number.NaN, b: [Infinity, -Infinity] },
      ...{ NaN: "Infinity", c: '"NaN', d: "x\\", "NaN'": Number.NaN },
    });
    expect(parsePythonJson("NaN")).toBe(Number.NaN);
  });

  it.each([
    "-NaN",
    "+Infinity",
    "1Infinity",
    "InfinityNaN",
    "Infinitye5",
    "1.Infinity",
    "NaN NaN",
    "{NaN: 1}",
    '"NaN',
    "nan",
    "[NaN",
  ])("is none in %j", (text) => {
    expect(() => parsePythonJson(text)).toThrow(SyntaxError);
  });

  it("takes no longer at quotes and backslashes without end", () => {
    for (const part of ['\\"', '"', "\\", "NaN"]) {
      expect(() => parsePythonJson(`[NaN,"${part.repeat(4_000_000)}`)).toThrow(SyntaxError);
    }
  }, 20_000);
});
