import { words } from "../python-text.ts";
import { lineParser } from "./line.ts";
import type { Parser } from "./parser.ts";

/** `parse_log_cargo`: `test module::name ... ok`. What was ignored is no result. */
export const parseCargo: Parser = lineParser((line) => {
  if (!line.startsWith("test")) return undefined;
  const [first, test, dots, outcome, ...more] = words(line, 5);
  if (first !== "test" || test === undefined || dots !== "..." || more.length > 0) return undefined;
  if (outcome === "ok") return [test, "PASSED"];
  return outcome === "FAILED" ? [test, "FAILED"] : undefined;
});
