/** How much a patch is. */
export interface DiffSize {
  readonly bytes: number;
  readonly files: number;
  /** A binary change is one. */
  readonly hunks: number;
}

/** Reads a unified diff as `git apply` does: what stands in a hunk is never taken for a heading. */
export function measureDiff(patch: Uint8Array): DiffSize {
  const size = { bytes: patch.length, files: 0, hunks: 0 };
  let left = { old: 0, new: 0 };
  let headed = false;
  for (const line of Buffer.from(patch).toString("latin1").split("\n")) {
    if (left.old > 0 || left.new > 0) {
      left = afterLine(line, left);
      continue;
    }
    const hunk = /^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@/.exec(line);
    if (hunk) left = { old: Number(hunk[1] ?? 1), new: Number(hunk[2] ?? 1) };
    if (hunk || line === "GIT binary patch") size.hunks += 1;
    // A file has either a heading of git's, or no other than its two names.
    const heading = line.startsWith("diff --git ");
    if (heading || (line.startsWith("+++ ") && !headed)) size.files += 1;
    if (heading || line.startsWith("+++ ")) headed = heading;
  }
  return size;
}

/** What of a patch is more than allowed, in words; undefined when nothing is. A limit of 0 is none. */
export function excessOf(patch: Uint8Array, limits: DiffSize): string | undefined {
  if (limits.bytes + limits.files + limits.hunks === 0) return undefined;
  const size = measureDiff(patch);
  const over = (["bytes", "files", "hunks"] as const).filter((what) => limits[what] > 0 && size[what] > limits[what]);
  const words = over.map((what) => `${size[what]} ${what} (at most ${limits[what]})`);
  return words.length === 0 ? undefined : words.join(", ");
}

function afterLine(line: string, left: { readonly old: number; readonly new: number }) {
  switch (line[0]) {
    case "+":
      return { ...left, new: left.new - 1 };
    case "-":
      return { ...left, old: left.old - 1 };
    case "\\":
      return left;
    default:
      return { old: left.old - 1, new: left.new - 1 };
  }
}
