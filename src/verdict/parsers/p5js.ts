import { pythonPattern } from "../python-pattern.ts";
import { count, eachLine, indentOf, strip, stripEnd, WORD_CHARACTER } from "../python-text.ts";
import { ANSI } from "./ansi.ts";
import type { Parser } from "./parser.ts";

/** `parse_log_p5js`: mocha's numbered failures, after what looks like JSON and XML is cut out. */
export const parseP5js: Parser = (log) => {
  const statuses = new Map<string, string>();
  for (const title of numberedTitles(withoutXml(withoutJson(log.replace(ANSI, ""))))) {
    const lines = title.split("\n");
    if (isDeepening(lines)) statuses.set(lines.map(strip).join(":"), "FAILED");
  }
  return statuses;
};

/** Every line is indented more than the one before, the first at all. */
function isDeepening(lines: readonly string[]): boolean {
  const indents = [0, ...lines.map(indentOf)];
  return indents.every((indent, index) => index === 0 || indent > (indents[index - 1] ?? 0));
}

/** Lines from one that ends in `{` to one that is `}`, the same with `[` and `]`, and lines that are one such block. */
function withoutJson(log: string): string {
  const kept: string[] = [];
  let [inObject, inList] = [false, false];
  eachLine(log, (line) => {
    const text = stripEnd(line);
    if (text.endsWith("{")) inObject = true;
    else if (text.endsWith("[")) inList = true;
    else if (text === "}" && inObject) inObject = false;
    else if (text === "]" && inList) inList = false;
    else if (!inObject && !inList && !isBlock(text)) kept.push(line);
  });
  return kept.join("\n");
}

function isBlock(text: string): boolean {
  return (text.startsWith("{") && text.endsWith("}")) || (text.startsWith("[") && text.endsWith("]"));
}

const TAG = pythonPattern(String.raw`<(\w+)>`, "g");
const END_TAG = pythonPattern(String.raw`</(\w+)>`, "g");
/** What a cut may put together: the beginning of a tag that stands before it, and the rest of one behind it. */
const BEGUN = new RegExp(`^</?[${WORD_CHARACTER}]*$`, "u");
const REST = new RegExp(`/?[${WORD_CHARACTER}]*>`, "uy");
const MADE = new RegExp(`^</?[${WORD_CHARACTER}]+>$`, "u");

/** The first `<tag>` that has a `</tag>` goes with all up to it, again and again. Further `<tag>`s within stay, without what follows them. */
function withoutXml(log: string): string {
  let text = log;
  for (let { kept, again } = cut(text); ; { kept, again } = cut(text)) {
    text = kept;
    if (!again) return text;
  }
}

/** From the first tag to the last in one go, or to a cut that makes a new tag: then `again` from the top. */
function cut(text: string): { readonly kept: string; readonly again: boolean } {
  const lastEnd = new Map<string, number>();
  for (const match of text.matchAll(END_TAG)) lastEnd.set(match[1] ?? "", match.index);
  const kept: string[] = [];
  let [at, begun] = [0, ""];
  TAG.lastIndex = 0;
  for (let match = TAG.exec(text); match !== null; match = TAG.exec(text)) {
    const [tag, name = ""] = match;
    if ((lastEnd.get(name) ?? -1) < TAG.lastIndex) continue;
    const { open, stop } = blockEnd(text, TAG.lastIndex, tag, lastEnd.get(name) ?? -1);
    const before = text.slice(at, match.index);
    kept.push(before, tag.repeat(open));
    begun = open > 0 ? "" : tailOf(begun, before);
    TAG.lastIndex = at = stop;
    if (begun !== "" && makesTag(begun, text, at)) return { kept: kept.join("") + text.slice(at), again: true };
  }
  return { kept: kept.join("") + text.slice(at), again: false };
}

/** Where the block ends whose `tag` ends at `from`, and how many more of its tags are open then, which have no end. */
function blockEnd(text: string, from: number, tag: string, lastEnd: number) {
  const end = `</${tag.slice(1)}`;
  let [open, stop] = [1, from];
  while (open > 0 && stop <= lastEnd) {
    const next = text.indexOf(end, stop);
    open += count(text.slice(stop, next), tag) - 1;
    stop = next + end.length;
  }
  return { open, stop };
}

/** What may be the beginning of a tag at the end of what is kept. */
function tailOf(begun: string, piece: string): string {
  const bracket = piece.lastIndexOf("<");
  if (bracket !== -1) return BEGUN.test(piece.slice(bracket)) ? piece.slice(bracket) : "";
  const goesOn = begun !== "" && BEGUN.test(`<${begun === "<" ? "" : "/"}${piece}`);
  return goesOn ? begun + piece : "";
}

function makesTag(begun: string, text: string, at: number): boolean {
  REST.lastIndex = at;
  const rest = REST.exec(text)?.[0];
  return rest !== undefined && MADE.test(begun + rest);
}

const NUMBER = pythonPattern(String.raw`^\s*\d+\)`);
const MOST = 1000;

/** `^\s*(\d+)\)(.{0,1000}?):` over lines: what stands between a number and the next colon, if that is near. */
function* numberedTitles(log: string): Generator<string> {
  let [end, colon] = [0, -1];
  for (let line = 0; line !== -1 && line < log.length; line = nextLine(log, line)) {
    const match = line < end ? null : NUMBER.exec(log.slice(line, endOfLine(log, line)));
    if (match === null) continue;
    const start = line + match[0].length;
    // Found once for all numbers before it.
    if (colon < start) colon = log.indexOf(":", start);
    if (colon === -1) return;
    if (colon - start > 2 * MOST || [...log.slice(start, colon)].length > MOST) continue;
    end = colon + 1;
    yield log.slice(start, colon);
  }
}

function nextLine(log: string, line: number): number {
  const end = log.indexOf("\n", line);
  return end === -1 ? -1 : end + 1;
}

function endOfLine(log: string, line: number): number {
  const end = log.indexOf("\n", line);
  return end === -1 ? log.length : end;
}
