import { lastMatch, pythonPattern } from "../python-pattern.ts";
import { lineParser } from "./line.ts";
import { chosenBy, type Parser } from "./parser.ts";

/** `parse_log_minitest`: `Class#test = 0.01 s = .`, more exactly `^(.+)\. .*=.*(\.|F|E).*$` with the longest name and the last outcome. */
export const parseMinitest: Parser = lineParser((line) => {
  const outcome = Math.max(line.lastIndexOf("."), line.lastIndexOf("F"), line.lastIndexOf("E"));
  const equals = outcome < 1 ? -1 : line.lastIndexOf("=", outcome - 1);
  const nameEnd = equals < 3 ? -1 : line.lastIndexOf(". ", equals - 2);
  if (nameEnd < 1) return undefined;
  return [line.slice(0, nameEnd), line[outcome] === "." ? "PASSED" : "FAILED"];
});

const DOTS = / \.+([.F])/g;

/** `parse_log_cucumber` (`--format progress`): `^(.*) \.+(\.|F)`, with the longest name. */
export const parseCucumber: Parser = lineParser((line) => {
  const match = lastMatch(line, DOTS);
  if (match === undefined) return undefined;
  return [line.slice(0, match.index), match[1] === "." ? "PASSED" : "FAILED"];
});

const OUTCOME = pythonPattern(String.raw`:\s+(\.|[EFO](?!\w))`, "g");
const UNIT: ReadonlyMap<string, string> = new Map([
  [".", "PASSED"],
  ["E", "FAILED"],
  ["F", "FAILED"],
  ["O", "SKIPPED"],
]);

/** `parse_log_ruby_unit`: `test: name: .: (0.01)`; the outcome is the last that stands behind a colon. */
export const parseRubyUnit: Parser = lineParser((line) => {
  const short = line.startsWith("test: ") ? unitResult(line.slice("test: ".length)) : undefined;
  return short ?? unitResult(line);
});

function unitResult(text: string) {
  const match = lastMatch(text, OUTCOME);
  const status = UNIT.get(match?.[1] ?? "");
  return match === undefined || match.index === 0 || status === undefined
    ? undefined
    : ([text.slice(0, match.index), status] as const);
}

/** `parse_log_rspec_transformed_json`: `name - passed`, with whatever behind it. */
export const parseRspec: Parser = lineParser((line) => {
  const passed = line.lastIndexOf(" - passed");
  const failed = line.lastIndexOf(" - failed");
  const at = Math.max(passed, failed);
  return at < 1 ? undefined : [line.slice(0, at), passed > failed ? "PASSED" : "FAILED"];
});

const JEKYLL: ReadonlyMap<string | undefined, Parser> = new Map([
  ["9141", parseMinitest],
  ["8047", parseMinitest],
  ["8167", parseMinitest],
  ["8761", parseCucumber],
  ["8771", parseCucumber],
]);

/** `parse_log_jekyll`: the instance's number says what ran its tests. */
export const parseJekyll: Parser = (log, instance) =>
  chosenBy(instance, JEKYLL.get(instance.id.split("-")[1]))(log, instance);
