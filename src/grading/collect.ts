import { readFileSync } from "node:fs";

/** Exit codes of the program; any other is a failure of the helper. */
export const EXIT = { ok: 0, noTree: 10, tooLarge: 11, unreadable: 12 } as const;

let program: string | undefined;

/** `collect.sh`, for `bash -c`: reads an agent's work tree in a helper sandbox. */
export function collectProgram(): string {
  program ??= readFileSync(new URL("./collect.sh", import.meta.url), "utf8");
  return program;
}

/** What it prints on stdout: names, each ended by NUL, one NUL more, and the patch. Bytes of names that are not UTF-8 are replaced. */
export function readCollected(stdout: Buffer): { readonly leftOut: readonly string[]; readonly patch: Buffer } {
  const leftOut: string[] = [];
  for (let at = 0; ; ) {
    const end = stdout.indexOf(0, at);
    if (end === at || end === -1) return { leftOut, patch: end === -1 ? Buffer.alloc(0) : stdout.subarray(end + 1) };
    leftOut.push(stdout.toString("utf8", at, end));
    at = end + 1;
  }
}
