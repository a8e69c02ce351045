/** Search in text, each character looked at a bounded number of times whatever the text is. */

export interface Block {
  readonly inside: string;
  /** The text ended before the closing mark: models stop there, and servers cut it off as a stop string. */
  readonly unclosed: boolean;
}

/** What stands between each opening mark and the next closing one. */
export function blocks(text: string, open: string, close: string): readonly Block[] {
  const found: Block[] = [];
  for (let at = text.indexOf(open); at >= 0; ) {
    const start = at + open.length;
    const end = text.indexOf(close, start);
    found.push({ inside: text.slice(start, end < 0 ? undefined : end), unclosed: end < 0 });
    if (end < 0) return found;
    at = text.indexOf(open, end + close.length);
  }
  return found;
}

/** The first part and the rest behind the mark; undefined without it. */
export function cut(text: string, mark: string): readonly [before: string, after: string] | undefined {
  const at = text.indexOf(mark);
  return at < 0 ? undefined : [text.slice(0, at), text.slice(at + mark.length)];
}

/** Where the JSON object or list that begins at `start` ends, by its brackets; -1 when it does not. */
export function jsonEnd(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const character = text[at];
    if (character === '"') {
      at = stringEnd(text, at);
      if (at < 0) return -1;
    } else if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") {
      depth--;
      if (depth === 0) return at + 1;
    }
  }
  return -1;
}

function stringEnd(text: string, quote: number): number {
  for (let at = quote + 1; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === '"') return at;
  }
  return -1;
}

/** Without its first and last line break, which the formats put around values. */
export function trimLine(text: string): string {
  return text.replace(/^\r?\n/, "").replace(/\r?\n$/, "");
}

/** What follows the reasoning of a model: calls that it only thinks of are none. Undefined when it never came to an end. */
export function afterThinking(text: string): string | undefined {
  const end = text.lastIndexOf("</think>");
  if (end >= 0) return text.slice(end + "</think>".length);
  return text.trimStart().startsWith("<think>") ? undefined : text;
}
