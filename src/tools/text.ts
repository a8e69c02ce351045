import type { OutputChunk } from "../sandbox/sandbox.ts";

export interface Shown {
  readonly text: string;
  /** Something of the output is not in the text. */
  readonly cut: boolean;
}

export interface ShowOptions {
  /** Of the text as UTF-8, the line that tells of a gap included (but never less than that line). */
  readonly limitBytes: number;
  /** Where what is left out can be found, in words. */
  readonly where?: string;
}

/**
 * The output of a command as the policy reads it: in order of arrival, bytes that are no UTF-8 replaced, and, when it is too long, head and tail with a line between them that says how
 * many bytes are left out and where to look. No code point is cut.
 */
export function showOutput(chunks: readonly OutputChunk[], outputBytes: number, options: ShowOptions): Shown {
  const [head, tail] = ends(chunks, outputBytes);
  return show(head, tail, outputBytes, options);
}

/** The same for a text that is there as a whole. */
export function capText(text: string, limitBytes: number): string {
  const bytes = Buffer.from(text);
  return show(bytes, bytes, bytes.length, { limitBytes }).text;
}

/** The first bytes of a text, ending with a line where there is one, else with a code point; undefined when all of it fits. */
export function clipped(text: string, limitBytes: number): string | undefined {
  const bytes = Buffer.from(text);
  if (bytes.length <= limitBytes) return undefined;
  const { text: head } = squeeze(bytes, Math.max(0, limitBytes), "head");
  return head.slice(0, head.lastIndexOf("\n") + 1) || head;
}

function show(head: Buffer, tail: Buffer, total: number, { limitBytes, where }: ShowOptions): Shown {
  if (head.length === total) {
    const text = head.toString();
    if (Buffer.byteLength(text) <= limitBytes) return { text, cut: false };
  }
  const hint = where === undefined ? "" : `; ${where}`;
  const gap = (bytes: number): string => `[... ${bytes} bytes left out here${hint} ...]`;
  const room = Math.max(0, limitBytes - Buffer.byteLength(gap(total)) - 2);
  const first = squeeze(head, Math.ceil(room / 2), "head");
  const last = squeeze(tail.subarray(Math.max(0, tail.length - (total - first.taken))), Math.floor(room / 2), "tail");
  const text = `${ended(first.text)}${gap(total - first.taken - last.taken)}\n${last.text}`;
  return { text, cut: true };
}

/** What is there without a hole from the begin, and up to the end. */
function ends(chunks: readonly OutputChunk[], total: number): readonly [head: Buffer, tail: Buffer] {
  const holes = chunks.flatMap(({ offset }, index) => (offset === endOf(chunks[index - 1]) ? [] : [index]));
  const reachesEnd = endOf(chunks.at(-1)) === total;
  const head = joined(chunks.slice(0, holes[0] ?? chunks.length));
  if (holes.length === 0 && reachesEnd) return [head, head];
  return [head, joined(reachesEnd ? chunks.slice(holes.at(-1) ?? 0) : [])];
}

function joined(chunks: readonly OutputChunk[]): Buffer {
  return Buffer.concat(chunks.map(({ data }) => data));
}

function endOf(chunk: OutputChunk | undefined): number {
  return chunk === undefined ? 0 : chunk.offset + chunk.data.length;
}

/** As much of one end of `bytes` as has at most `budget` bytes once it is UTF-8. */
function squeeze(
  bytes: Buffer,
  budget: number,
  side: "head" | "tail",
): { readonly text: string; readonly taken: number } {
  for (let size = Math.min(bytes.length, budget); ; ) {
    const piece =
      side === "head"
        ? bytes.subarray(0, boundary(bytes, size, -1))
        : bytes.subarray(boundary(bytes, bytes.length - size, 1));
    const text = piece.toString();
    const needed = Buffer.byteLength(text);
    if (needed <= budget) return { text, taken: piece.length };
    size = Math.floor((piece.length * budget) / needed);
  }
}

/** The next place at or beyond `at`, going by `step`, that is not within a code point. Runs of stray continuation bytes have none: they are cut anywhere. */
function boundary(bytes: Buffer, at: number, step: -1 | 1): number {
  for (let place = at, steps = 0; steps <= 3; place += step, steps++)
    if (place <= 0 || place >= bytes.length || ((bytes[place] ?? 0) & 0xc0) !== 0x80) return place;
  return at;
}

/** A gap begins on a line of its own. */
function ended(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}
