import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Config, parseConfig } from "./config.ts";

test("the commented example holds every setting with its default", () => {
  const path = new URL("../config/sandlot.yaml", import.meta.url);
  const example = parseConfig(readFileSync(path, "utf8"), "sandlot.yaml");
  expect(example).toEqual(Config.parse({}));
});

test("an empty file is the defaults", () => {
  expect(parseConfig("", "c.yaml")).toEqual(Config.parse({}));
  expect(parseConfig("# nothing\n", "c.yaml")).toEqual(Config.parse({}));
});

test.each([
  ["pools:\n  val:\n    slotz: 4\n", 'c.yaml:3:5: pools.val: Unrecognized key: "slotz"'],
  ["lisen: x\n", 'c.yaml:1:1: (top): Unrecognized key: "lisen"'],
  ["a: b\n\nlimits:\n  defaults: { memory_mib: 0 }\n", "c.yaml:4:27: limits.defaults.memory_mib: "],
  ["backend:\n  type: process\n", "c.yaml:2:3: backend.commands_run_unprotected_on_this_host: "],
  ["listen: [\n", "c.yaml:2:1: "],
])("%j is refused with its line and column", (text, message) => {
  expect(() => parseConfig(text, "c.yaml")).toThrow(message);
});
