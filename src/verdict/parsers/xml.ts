import { universalNewlines } from "../python-text.ts";
import { UnparsableLog } from "./parser.ts";

/** What a reader is told of, in the order of the document. */
export interface XmlEvents {
  readonly open: (name: string, attributes: ReadonlyMap<string, string>) => void;
  readonly close: (name: string) => void;
}

/**
 * Reads one element with all it holds, as Python's `ElementTree.fromstring` (expat) does: what is not well-formed there raises here. There can be no
 * document type. Namespaces are not read: a declaration of one, or a name with a colon, raises.
 */
export function readXml(document: string, events: XmlEvents): void {
  const text = universalNewlines(document);
  const open: string[] = [];
  let at = 0;
  let begun = false;
  while (at < text.length) {
    const token = nextToken(text, at);
    at += token.length;
    if (begun && open.length === 0 && !/^(?:[ \t\n]+|<[!?].*)$/s.test(token)) throw malformed("what follows its end");
    if (token.startsWith("</")) {
      const name = token.slice(2, -1).trimEnd();
      if (open.pop() !== name) throw malformed(`</${name}>, which ends nothing`);
      events.close(name);
    } else if (/^<[^!?]/.test(token)) {
      const name = NAME_AT_START.exec(token)?.[1] ?? "";
      events.open(name, attributesOf(token, name));
      if (token.endsWith("/>")) events.close(name);
      else open.push(name);
    } else if (token[0] !== "<") {
      if (token.includes("]]>")) throw malformed("]]> in its text");
      decode(token);
    }
    begun = true;
  }
  if (open.length > 0 || !begun) throw malformed(`an end before that of ${open.at(-1) ?? "anything"}`);
}

/** Expat knows letters of other scripts too. Such names raise here, which is the safe side: no report has any. */
const NAME = String.raw`[A-Za-z_][-.\w]*`;
const BLANK = "[ \\t\\n]";
const VALUE = `"[^<"]*"|'[^<']*'`;
const TAG = `<${NAME}(?:${BLANK}+${NAME}${BLANK}*=${BLANK}*(?:${VALUE}))*${BLANK}*/?>`;
const END_TAG = `</${NAME}${BLANK}*>`;
const TEXT = "[^<]+";
const TOKEN = new RegExp(`${TEXT}|${TAG}|${END_TAG}`, "y");
const NAME_AT_START = new RegExp(`^<(${NAME})`);
const ATTRIBUTE = new RegExp(`${BLANK}(${NAME})${BLANK}*=${BLANK}*(${VALUE})`, "g");
/** Comments, sections of plain text, instructions: begin, end. */
const OTHERS = [
  ["<!--", "-->"],
  ["<![CDATA[", "]]>"],
  ["<?", "?>"],
] as const;
const INSTRUCTION = new RegExp(`^<\\?(${NAME})(?:${BLANK}|\\?>)`);
// biome-ignore lint/suspicious/noControlCharactersInRegex: characters that no XML document may hold
const FORBIDDEN = /[\x00-\x08\x0b-\x1f\ufffe\uffff]/;

function nextToken(text: string, at: number): string {
  TOKEN.lastIndex = at;
  const token = TOKEN.exec(text)?.[0] ?? otherToken(text, at);
  if (token === undefined || FORBIDDEN.test(token)) throw malformed(JSON.stringify(text.slice(at, at + 20)));
  return token;
}

function otherToken(text: string, at: number): string | undefined {
  const [begin, end] = OTHERS.find(([start]) => text.startsWith(start, at)) ?? [];
  if (begin === undefined || end === undefined) return undefined;
  const from = at + begin.length;
  const stop = text.indexOf(end, from);
  if (stop === -1) return undefined;
  const token = text.slice(at, stop + end.length);
  if (begin === "<!--" && text.slice(from, stop + 1).includes("--")) return undefined;
  if (begin === "<?" && (INSTRUCTION.exec(token)?.[1] ?? "xml").toLowerCase() === "xml") return undefined;
  return token;
}

function attributesOf(tag: string, element: string): ReadonlyMap<string, string> {
  const attributes = new Map<string, string>();
  for (const [, name = "", quoted = ""] of tag.slice(element.length + 1).matchAll(ATTRIBUTE)) {
    if (attributes.has(name)) throw malformed(`two attributes ${name}`);
    if (name === "xmlns") throw malformed("a namespace");
    attributes.set(name, decode(quoted.slice(1, -1).replace(/[\t\n]/g, " ")));
  }
  return attributes;
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
]);

function decode(text: string): string {
  return text.replace(/&([^;&]*;?)/g, (whole, body: string) => {
    const name = body.slice(0, -1);
    const number = /^#(?:x([0-9a-fA-F]+)|([0-9]+))$/.exec(name);
    const character = body.endsWith(";")
      ? (ENTITIES.get(name) ?? (number ? characterOf(number) : undefined))
      : undefined;
    if (character === undefined) throw malformed(JSON.stringify(whole.slice(0, 20)));
    return character;
  });
}

function characterOf([, hex, decimal]: RegExpExecArray): string | undefined {
  const code = hex === undefined ? Number.parseInt(decimal ?? "", 10) : Number.parseInt(hex, 16);
  if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return undefined;
  const character = String.fromCodePoint(code);
  return code !== 0x0d && FORBIDDEN.test(character) ? undefined : character;
}

function malformed(what: string): UnparsableLog {
  return new UnparsableLog(`an XML report that is not well-formed: ${what}`);
}
