import type { Chance } from "./chance.fixture.ts";
import { logOf } from "./generated-log.fixture.ts";
import type { Grammar } from "./grammar.fixture.ts";

const START = ">>>>> Start Test Output";
const END = ">>>>> End Test Output";

/** What an evaluation prints beside its tests. */
const BEFORE = [
  "+ git -c core.fileMode=false diff",
  "diff --git a/x.py b/x.py\n@@ -1 +1 @@\n-a\n+b",
  `+print(": '${START}'")`,
  `+    ${END}`,
  "+>>>>> Tests Timed Out",
  "+>>>>> Patch Apply Failed",
  "+>>>>> Test Exit Code: 0",
  "Checking patch tests/x.py...\nApplied patch tests/x.py cleanly.",
  "Killed",
  "ModuleNotFoundError: No module named 'x'",
  "OSError: Cannot allocate memory",
  "ERROR: file not found: no tests ran in 0.01s",
  "Timeout error: 5 seconds exceeded.",
];
const WITHIN = [
  "Executed 0 of 0",
  "Executed 12 of 12 SUCCESS",
  "TOTAL: 3 SUCCESS",
  "  12 passing (3s)",
  "0 passing",
  "Tests:       1 passed, 1 total",
  "Test Suites: 1 failed, 2 passed, 3 total",
  "Test Suites: 0 total",
  "# tests 12",
  " # tests 12",
  "12 specs, 0 failures",
  "1 spec, 0 failures",
  "case': ok",
  "case': ok ",
  "\u0661 passing",
];
const CODES = ["0", "0", "0", "1", "2", "-1", "-0", "\u0660", "\u0661", "00", "x"];
/** More digits than Python's `int` takes; rare, since the official code is slow at them. */
const LONG_CODE = "9".repeat(4301);
const BAD_BYTES = ["ff", "c3", "e282", "f09f98", "c0af", "eda080", "f4908080", "efbbbf", "80"];

/** All that a run printed, as bytes. */
export function runLogOf(grammar: Grammar, chance: Chance): Uint8Array {
  const some = (lines: readonly string[], probability: number) => lines.filter(() => chance.is(probability));
  const tests = chance.is(0.85) ? logOf(grammar, chance) : "";
  const parts = [
    ...some(BEFORE, chance.of([0, 0, 0.1, 0.3])),
    ...(chance.is(0.1) ? [logOf(grammar, chance)] : []),
    ...(chance.is(0.97) ? [`+ : '${START}'`] : []),
    tests,
    ...some(WITHIN, chance.of([0, 0, 0.1])),
    ...(chance.is(0.97) ? [`+ : '${END}'`] : []),
    ...(chance.is(0.5) ? [`>>>>> Test Exit Code: ${chance.is(0.01) ? LONG_CODE : chance.of(CODES)}`] : []),
    ...(chance.is(0.1) ? [logOf(grammar, chance)] : []),
  ];
  const text = Buffer.from(`${parts.join(chance.of(["\n", "\n", "\n", "\r\n", "\r"]))}\n`);
  if (!chance.is(0.1)) return text;
  const at = chance.below(text.length);
  return Buffer.concat([text.subarray(0, at), Buffer.from(chance.of(BAD_BYTES), "hex"), text.subarray(at)]);
}

/** Ids that a row may expect of such a run: names that it has, cut ones, and others. */
export function expectedOf(names: readonly string[], chance: Chance): readonly string[] {
  const cut = names
    .filter((name) => name.includes("["))
    .map((name) => name.slice(0, name.indexOf("[") + 1 + chance.below(3)).toWellFormed());
  return [...names, ...cut, "absent", "absent["].filter(() => chance.is(chance.of([0.1, 0.5, 0.9])));
}
