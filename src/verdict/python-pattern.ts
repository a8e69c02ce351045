import { SPACE, WORD_CHARACTER } from "./python-text.ts";

/**
 * A regular expression that means in JavaScript what `source` means to Python's `re` on text (for what the official patterns use: `\s \S \d \w .`,
 * classes, groups, repetition). Flag `m` is MULTILINE; with `g` it finds all matches.
 */
export function pythonPattern(source: string, flags: "" | "m" | "g" | "gm" = ""): RegExp {
  const multiline = flags.includes("m");
  const translated = source.replace(TOKEN, (token) => {
    if (token.startsWith("[")) return token.replace(/\\[sdw]/g, (inner) => IN_CLASS[inner] ?? inner);
    if (token === "^") return multiline ? "(?<![^\\n])" : "^";
    if (token === "$") return multiline ? "(?![^\\n])" : "(?=\\n?$)";
    return ALONE[token] ?? token;
  });
  return new RegExp(translated, flags.includes("g") ? "gu" : "u");
}

/** A class as a whole, an escape, or one of the characters whose meaning differs. */
const TOKEN = /\[\^?(?:\\.|[^\]\\])+\]|\\.|[.^$]/gs;

const IN_CLASS: Readonly<Record<string, string>> = { "\\s": SPACE, "\\d": "\\p{Nd}", "\\w": WORD_CHARACTER };

const ALONE: Readonly<Record<string, string>> = {
  "\\s": `[${SPACE}]`,
  "\\S": `[^${SPACE}]`,
  "\\d": "\\p{Nd}",
  "\\w": `[${WORD_CHARACTER}]`,
  ".": "[^\\n]",
};

/** Of a pattern with the flag `g`. */
export function lastMatch(text: string, pattern: RegExp): RegExpExecArray | undefined {
  let last: RegExpExecArray | undefined;
  for (const match of text.matchAll(pattern)) last = match;
  return last;
}
