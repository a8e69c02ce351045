/** `json.loads(text)`, which reads `NaN`, `Infinity` and `-Infinity` too. SyntaxError where it is no JSON. */
export function parsePythonJson(text: string): unknown {
  if (!/NaN|Infinity/.test(text)) return JSON.parse(text);
  let nan = "NaN";
  while (text.includes(nan)) nan += "'";
  const isMark = (value: unknown): boolean => Array.isArray(value) && value.length === 1 && value[0] === nan;
  const plain = outsideStrings(text, (part) =>
    part.replace(CONSTANT, (word) => (word === "NaN" ? JSON.stringify([nan]) : TOO_LARGE)),
  );
  return JSON.parse(plain, (_, value) => (isMark(value) ? Number.NaN : value));
}

const CONSTANT = /(?<![\w.+])(?:NaN|Infinity)(?!\w)/g;
/** JSON reads it as infinity. */
const TOO_LARGE = "1e999";

/** What `change` makes of all that is not within quotes; in linear time. */
function outsideStrings(text: string, change: (part: string) => string): string {
  const parts: string[] = [];
  let from = 0;
  for (let quote = text.indexOf('"'); quote !== -1; quote = text.indexOf('"', from)) {
    const end = endOfString(text, quote);
    parts.push(change(text.slice(from, quote)), text.slice(quote, end));
    from = end;
  }
  return parts.join("") + change(text.slice(from));
}

/** Behind the quote that ends the string which begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let slashes = 0;
    while (text[quote - 1 - slashes] === "\\") slashes += 1;
    if (slashes % 2 === 0) return quote + 1;
  }
  return text.length;
}
