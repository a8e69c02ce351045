/** A Python list of strings as `repr` writes it, JSON included; undefined for anything else. */
export function pythonStrings(text: string): readonly string[] | undefined {
  let at = 0;
  const spaces = (): void => {
    while (/\s/.test(text[at] ?? "")) at += 1;
  };
  const take = (character: string): boolean => {
    spaces();
    if (text[at] !== character) return false;
    at += 1;
    return true;
  };
  if (!take("[")) return undefined;
  const found: string[] = [];
  while (!take("]")) {
    if (found.length > 0 && !take(",")) return undefined;
    spaces();
    if (found.length > 0 && take("]")) break;
    const end = endOfString(text, at);
    const value = end === undefined ? undefined : unescaped(text.slice(at + 1, end));
    if (end === undefined || value === undefined) return undefined;
    found.push(value);
    at = end + 1;
  }
  spaces();
  return at === text.length ? found : undefined;
}

/** Where the string that begins at `start` is closed. */
function endOfString(text: string, start: number): number | undefined {
  const mark = text[start];
  if (mark !== "'" && mark !== '"') return undefined;
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === mark) return at;
    else if (text[at] === "\n") return undefined;
  }
  return undefined;
}

const PLAIN: Readonly<Record<string, string>> = {
  ...{ "\\": "\\", "'": "'", '"': '"', a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v", "/": "/" },
  "\n": "",
};

function unescaped(text: string): string | undefined {
  let bad = false;
  const value = text.replace(/\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[\s\S])/g, (_, code: string) => {
    const point = /^[xuU]./.test(code) ? Number.parseInt(code.slice(1), 16) : undefined;
    if (point !== undefined && point <= 0x10ffff) return String.fromCodePoint(point);
    const plain = PLAIN[code];
    if (plain === undefined) bad = true;
    return plain ?? "";
  });
  return bad ? undefined : value;
}
