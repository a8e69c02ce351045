/** Text as Python sees it. The official parsers are Python; where JavaScript differs by one character, a verdict can. */

/** What `str.split()` and `str.strip()` take for whitespace, and `\s` too, as the inside of a character class. */
export const SPACE = "\\t\\n\\v\\f\\r \\x1c-\\x1f\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

/** `\w` of `re`, as the inside of a character class; needs the flag `u`. `\d` is `\p{Nd}`. */
export const WORD_CHARACTER = "\\p{L}\\p{N}_";

/** `bytes.decode("utf-8", errors="replace")`: a byte order mark stays. */
export function decodeUtf8(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/** `bytes.decode("utf-8")`; undefined where that raises. */
export function decodeStrictly(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { ignoreBOM: true, fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** What reading a file in text mode does to line ends. In place, since a log can be 64 MiB of them. */
export function universalNewlines(text: string): string {
  if (!text.includes("\r")) return text;
  const encoding = /^[\0-\xff]*$/.test(text) ? "latin1" : "utf16le";
  const bytes = Buffer.alloc(encoding === "latin1" ? text.length : 2 * text.length);
  bytes.write(text, encoding);
  const units = encoding === "latin1" ? bytes : new Uint16Array(bytes.buffer);
  let length = 0;
  for (let at = 0; at < units.length; at += 1) {
    const unit = units[at] ?? 0;
    if (unit === CR && units[at + 1] === LF) continue;
    units[length] = unit === CR ? LF : unit;
    length += 1;
  }
  return bytes.toString(encoding, 0, length * units.BYTES_PER_ELEMENT);
}

const CR = 0x0d;
const LF = 0x0a;

/** `text.split()`; of a long text the first `most` words can be enough. */
export function words(text: string, most = Number.POSITIVE_INFINITY): readonly string[] {
  const found: string[] = [];
  let start = skipSpace(text, 0);
  while (start < text.length && found.length < most) {
    let end = start + 1;
    while (end < text.length && !isSpaceUnit(text.charCodeAt(end))) end += 1;
    found.push(text.slice(start, end));
    start = skipSpace(text, end);
  }
  return found;
}

/** The place of the first character from `from` on that is no white space. */
export function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && isSpaceUnit(text.charCodeAt(at))) at += 1;
  return at;
}

export function isSpace(character: string | undefined): boolean {
  return character !== undefined && isSpaceUnit(character.charCodeAt(0));
}

/** In numbers, since a log can be 64 MiB of white space. */
function isSpaceUnit(unit: number): boolean {
  if (unit < 0x80) return unit <= 0x20 && (unit >= 0x1c || (unit >= 0x09 && unit <= 0x0d));
  return OTHER_SPACES.has(unit);
}

const OTHER_SPACES = new Set([0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000]);
for (let unit = 0x2000; unit <= 0x200a; unit += 1) OTHER_SPACES.add(unit);

/** `text.strip()`. */
export function strip(text: string): string {
  const start = skipSpace(text, 0);
  let end = text.length;
  while (end > start && isSpaceUnit(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

/** `text.rstrip()`. */
export function stripEnd(text: string): string {
  let end = text.length;
  while (end > 0 && isSpaceUnit(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(0, end);
}

/** `len(text) - len(text.lstrip())`. */
export function indentOf(text: string): number {
  return skipSpace(text, 0);
}

/** `text.split(separator)[0]`, and `text.split(separator, 1)[0]`. */
export function before(text: string, separator: string): string {
  const at = text.indexOf(separator);
  return at === -1 ? text : text.slice(0, at);
}

/** `text.split(separator, 1)[-1]`. */
export function after(text: string, separator: string): string {
  const at = text.indexOf(separator);
  return at === -1 ? text : text.slice(at + separator.length);
}

/** `text.split(separator)[-1]`. */
export function afterLast(text: string, separator: string): string {
  const at = text.lastIndexOf(separator);
  return at === -1 ? text : text.slice(at + separator.length);
}

/** `text.rsplit(separator, 1)[0]`. */
export function beforeLast(text: string, separator: string): string {
  const at = text.lastIndexOf(separator);
  return at === -1 ? text : text.slice(0, at);
}

/** `text.count(part)` for a part of one character. */
export function count(text: string, part: string): number {
  let found = 0;
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + 1)) found += 1;
  return found;
}

/** Calls `visit` with each element of `text.split("\n")` without making the list: a log can be 64 MiB of line feeds. */
export function eachLine(text: string, visit: (line: string) => void): void {
  let start = 0;
  for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", start)) {
    visit(text.slice(start, end));
    start = end + 1;
  }
  visit(text.slice(start));
}

/** `int(digits)` is zero, for the digits of any script (`\d` matches them all). */
export function isZero(digits: string): boolean {
  return [...digits].every((digit) => digitValue(digit) === 0);
}

/** Decimal digits come in runs of ten that start at the zero, and runs may touch. */
function digitValue(digit: string): number {
  const code = digit.codePointAt(0) ?? 0;
  let first = code;
  while (/^\p{Nd}$/u.test(String.fromCodePoint(first - 1))) first -= 1;
  return (code - first) % 10;
}
