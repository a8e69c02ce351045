/** How much a patch is. */
export interface DiffSize {
  readonly bytes: number;
  readonly files: number;
  /** A binary change is one. */
  readonly hunks: number;
}

/**
 * Reads a unified diff as `git apply` does: what stands in a hunk is never taken for a heading. In one pass over the bytes: it has up to 32 MiB, and
 * whoever else works waits for it.
 */
export function measureDiff(patch: Uint8Array): DiffSize {
  const size = { bytes: patch.length, files: 0, hunks: 0 };
  let [oldLeft, newLeft] = [0, 0];
  let headed = false;
  for (let start = 0, end = 0; start < patch.length; start = end + 1) {
    end = start;
    while (end < patch.length && patch[end] !== LF) end += 1;
    if (oldLeft > 0 || newLeft > 0) {
      const first = patch[start];
      if (first !== PLUS && first !== BACKSLASH) oldLeft -= 1;
      if (first !== MINUS && first !== BACKSLASH) newLeft -= 1;
      continue;
    }
    if (!mayCount(patch, start)) continue;
    const line = Buffer.from(patch.buffer, patch.byteOffset + start, Math.min(end - start, 100)).toString("latin1");
    const hunk = /^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@/.exec(line);
    if (hunk) [oldLeft, newLeft] = [Number(hunk[1] ?? 1), Number(hunk[2] ?? 1)];
    if (hunk || line === "GIT binary patch") size.hunks += 1;
    // A file has either a heading of git's, or no other than its two names.
    const heading = line.startsWith("diff --git ");
    if (heading || (line.startsWith("+++ ") && !headed)) size.files += 1;
    if (heading || line.startsWith("+++ ")) headed = heading;
  }
  return size;
}

const LF = 0x0a;
const [SPACE, PLUS, MINUS, AT, BACKSLASH] = [0x20, 0x2b, 0x2d, 0x40, 0x5c];

/** Whether a line begins as one that counts: `@@ `, `+++`, `GIT` or `dif`. */
function mayCount(patch: Uint8Array, start: number): boolean {
  const [first, second, third] = [patch[start], patch[start + 1], patch[start + 2]];
  if (first === AT) return second === AT && third === SPACE;
  if (first === PLUS) return second === PLUS && third === PLUS;
  return (first === 0x47 && second === 0x49 && third === 0x54) || (first === 0x64 && second === 0x69 && third === 0x66);
}

/** What of a patch is more than allowed, in words; undefined when nothing is. A limit of 0 is none. */
export function excessOf(patch: Uint8Array, limits: DiffSize): string | undefined {
  if (limits.bytes + limits.files + limits.hunks === 0) return undefined;
  const size = measureDiff(patch);
  const over = (["bytes", "files", "hunks"] as const).filter((what) => limits[what] > 0 && size[what] > limits[what]);
  const words = over.map((what) => `${size[what]} ${what} (at most ${limits[what]})`);
  return words.length === 0 ? undefined : words.join(", ");
}
