/** Pure text of the editor: numbered lines, ranges, places. Lines are what lies between newlines, so that a text with a newline at its end has an empty last one. */

/** Lines around an edit that are shown with it. */
export const AROUND = 4;

/** As \`cat -n\` numbers them. */
export function numbered(lines: readonly string[], first: number, what: string): string {
  const rows = lines.map((line, index) => `${String(first + index).padStart(6)}\t${line}`);
  return `Here's the result of running \`cat -n\` on ${what}:\n${rows.join("\n")}\n`;
}

export type Range = { readonly first: number; readonly last: number } | { readonly problem: string };

/** `[1, 20]`, `1,20` or `1-20`; an end of -1 is the last line. */
export function readRange(text: string, lineCount: number): Range {
  const match = /^\s*\[?\s*(-?\d{1,9})\s*(?:,|:|-|\s)\s*(-?\d{1,9})\s*\]?\s*$/.exec(text);
  const begin = `Invalid \`view_range\`: ${text.slice(0, 100)}.`;
  if (!match) return { problem: `${begin} It should be a list of two integers, as in [1, 20].` };
  const [first, last] = [Number(match[1]), Number(match[2])];
  if (first < 1 || first > lineCount)
    return {
      problem: `${begin} Its first element \`${first}\` should be within the range of lines of the file: [1, ${lineCount}]`,
    };
  if (last === -1) return { first, last: lineCount };
  if (last > lineCount)
    return {
      problem: `${begin} Its second element \`${last}\` should be smaller than the number of lines in the file: \`${lineCount}\``,
    };
  if (last < first)
    return {
      problem: `${begin} Its second element \`${last}\` should be larger or equal than its first \`${first}\``,
    };
  return { first, last };
}

/** Where `needle` begins, without overlaps: offsets, at most `most` of them. */
export function occurrences(text: string, needle: string, most = 1000): readonly number[] {
  const found: number[] = [];
  for (let at = text.indexOf(needle); at >= 0 && found.length < most; at = text.indexOf(needle, at + needle.length))
    found.push(at);
  return found;
}

/** The number of the line, from 1, in which an offset lies. */
export function lineOf(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < offset; at = text.indexOf("\n", at + 1)) line += 1;
  return line;
}
