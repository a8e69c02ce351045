/** What families read out of the patch of their hidden tests. */

export interface PatchedFile {
  /** Before; undefined for a new one. */
  readonly source: string | undefined;
  /** After; undefined for one that goes. */
  readonly target: string | undefined;
}

/** The files of a unified diff by their `---` and `+++` lines, hunks skipped by the counts in their heads. A file without such lines (renamed only, binary) is not among them. */
export function patchedFiles(patch: string): readonly PatchedFile[] {
  const lines = patch.split("\n");
  const files: PatchedFile[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const source = HEAD.exec(lines[at] ?? "")?.[1];
    const target = TAIL.exec(lines[at + 1] ?? "")?.[1];
    if (source === undefined || target === undefined) continue;
    files.push({ source: within(source, "a/"), target: within(target, "b/") });
    at = afterHunks(lines, at + 2) - 1;
  }
  return files;
}

const HEAD = /^--- ([^\t\n]+)/;
const TAIL = /^\+\+\+ ([^\t\n]+)/;
const HUNK = /^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@/;

function within(name: string, prefix: string): string | undefined {
  return name.startsWith(prefix) ? name.slice(prefix.length) : undefined;
}

function afterHunks(lines: readonly string[], start: number): number {
  let at = start;
  for (let hunk = HUNK.exec(lines[at] ?? ""); hunk; hunk = HUNK.exec(lines[at] ?? "")) {
    let [before, after] = [Number(hunk[1] ?? 1), Number(hunk[2] ?? 1)];
    for (at += 1; at < lines.length && (before > 0 || after > 0); at += 1) {
      const kind = lines[at]?.[0];
      if (kind === "\\") continue;
      if (kind !== "+") before -= 1;
      if (kind !== "-") after -= 1;
    }
    while (lines[at]?.startsWith("\\")) at += 1;
  }
  return at;
}

/** Not tests, by the ends of their names (`NON_TEST_EXTS`; "csv" is written so there). */
const NO_TESTS = [".json", ".png", "csv", ".txt", ".md", ".jpg", ".jpeg", ".pkl", ".yml", ".yaml", ".toml"];
const isTest = (path: string): boolean => !NO_TESTS.some((end) => path.endsWith(end));

/** `get_test_directives` of SWE-bench: what its test command is given, in order, duplicates and all. */
export function directives(repo: string, testPatch: string): readonly string[] {
  const paths = [...testPatch.matchAll(/diff --git a\/[^\n]* b\/([^\n]*)/g)]
    .map((match) => match[1] ?? "")
    .filter(isTest);
  return repo === "django/django" ? paths.map(asModule) : paths;
}

/** The same where a data set takes the files that are left by the patch. */
export function changedTests(testPatch: string): readonly string[] {
  return patchedFiles(testPatch).flatMap(({ target }) => (target !== undefined && isTest(target) ? [target] : []));
}

function asModule(path: string): string {
  return path
    .replace(/\.py$/, "")
    .replace(/^tests\//, "")
    .replaceAll("/", ".");
}
