import { pythonPattern } from "../python-pattern.ts";
import { isSpace, strip } from "../python-text.ts";
import { lineParser } from "./line.ts";
import { chosenBy, type Parser } from "./parser.ts";

/** A sign, one white space and a name. */
function signed(line: string, signs: ReadonlyMap<string, string>) {
  const status = signs.get(line[0] ?? "");
  return status === undefined || !isSpace(line[1]) || line.length < 3 ? undefined : { status, text: line.slice(2) };
}

const JEST: ReadonlyMap<string, string> = new Map([
  ["✓", "PASSED"],
  ["✕", "FAILED"],
  ["○", "SKIPPED"],
]);
const TIMING = pythonPattern(String.raw`\s\(\d+\s*m?s\)$`);

/** `(.+?)(?:\s\((\d+\s*m?s)\))?$`: a timing at the end is no part of the name, unless it is all of it. */
export function beforeTiming(text: string): string {
  return beforeEnd(text, text.endsWith(")") ? TIMING : undefined);
}

function beforeEnd(text: string, ending: RegExp | undefined): string {
  const at = ending?.exec(text)?.index ?? 0;
  return at === 0 ? text : text.slice(0, at);
}

/** `parse_log_jest` (`--verbose`): `✓ name (5 ms)`. */
export const parseJest: Parser = lineParser((line) => {
  const found = signed(line, JEST);
  return found && [strip(beforeTiming(found.text)), found.status];
});

/** That of 4.1.0 keeps the white space around the name. */
export const parseJest4: Parser = lineParser((line) => {
  const found = signed(line, JEST);
  return found && [beforeTiming(found.text), found.status];
});

const VITEST: ReadonlyMap<string, string> = new Map([
  ["✓", "PASSED"],
  ["×", "FAILED"],
  ["↓", "SKIPPED"],
]);
const VITEST_END = pythonPattern(String.raw`\s(?:\d+\s*m?s?|\[skipped\])$`);

/** `parse_log_vitest` (`--reporter=verbose`): `✓ file > name 5ms`, `↓ name [skipped]`. */
export const parseVitest: Parser = lineParser((line) => {
  const found = signed(line, VITEST);
  return found && [beforeEnd(found.text, VITEST_END), found.status];
});

/** `parse_log_jest_json`: `[PASSED] name`. */
export const parseJestJson: Parser = lineParser((line) => {
  const passed = line.startsWith("[PASSED]");
  if ((!passed && !line.startsWith("[FAILED]")) || !isSpace(line[8]) || line.length === 9) return undefined;
  return [line.slice(9), passed ? "PASSED" : "FAILED"];
});

const IMMUTABLE = (jest: Parser): ReadonlyMap<string | undefined, Parser> =>
  new Map([
    ["2006", jest],
    ["2005", parseJestJson],
  ]);

/** `parse_log_immutable_js`: the instance's number says what ran its tests. */
function immutable(jest: Parser): Parser {
  const parsers = IMMUTABLE(jest);
  return (log, instance) => chosenBy(instance, parsers.get(instance.id.split("-").at(-1)))(log, instance);
}

export const parseImmutable = immutable(parseJest);
export const parseImmutable4 = immutable(parseJest4);
