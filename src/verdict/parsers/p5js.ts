import { pythonPattern } from "../python-pattern.ts";
import { count, eachLine, indentOf, strip, stripEnd } from "../python-text.ts";
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

/**
 * The first `<tag>` that has a `</tag>` goes with all up to it, again and again. Further `<tag>`s within stay, without what follows them. Looking
 * on starts where the cut may have made a new tag, or at the top if it may have made an end.
 */
function withoutXml(log: string): string {
  let text = log;
  const endless = new Set<string>();
  TAG.lastIndex = 0;
  for (let match = TAG.exec(text); match !== null; match = TAG.exec(text)) {
    const [tag, name = ""] = match;
    const end = endless.has(name) ? -1 : text.indexOf(`</${name}>`, TAG.lastIndex);
    if (end === -1) {
      endless.add(name);
      continue;
    }
    const inner = count(text.slice(TAG.lastIndex, end), tag);
    text = text.slice(0, match.index) + tag.repeat(inner) + text.slice(end + name.length + 3);
    const edge = match.index === 0 ? -1 : text.lastIndexOf("<", match.index - 1);
    const mayEnd = edge !== -1 && text[edge + 1] === "/";
    if (mayEnd) endless.clear();
    TAG.lastIndex = mayEnd ? 0 : Math.max(edge, 0);
  }
  return text;
}

const NUMBER = pythonPattern(String.raw`^\s*\d+\)`);
const MOST = 1000;

/** `^\s*(\d+)\)(.{0,1000}?):` over lines: what stands between a number and the next colon, if that is near. */
function* numberedTitles(log: string): Generator<string> {
  let end = 0;
  for (let line = 0; line !== -1 && line < log.length; line = nextLine(log, line)) {
    const match = line < end ? null : NUMBER.exec(log.slice(line, endOfLine(log, line)));
    if (match === null) continue;
    const start = line + match[0].length;
    const colon = log.indexOf(":", start);
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
