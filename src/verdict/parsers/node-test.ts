import { eachLine } from "../python-text.ts";
import type { Parser } from "./parser.ts";

/**
 * `node --test --test-reporter=tap`: the leaf tests, each named by the path of its suites joined by " > ". A result comes after those of its
 * children, so the tree is built from result lines alone: nothing that a test prints (always behind "# ") takes part in it.
 */
export const parseNodeTest: Parser = (log) => {
  const levels: Leaf[][] = [];
  let diagnostics: string | undefined;
  let last: Leaf | undefined;
  eachLine(log, (line) => {
    if (diagnostics !== undefined) {
      if (line === `${diagnostics}...`) diagnostics = undefined;
      else if (last?.status === "PASSED" && line === `${diagnostics}type: 'suite'`) last.status = "EMPTY_SUITE";
      return;
    }
    diagnostics = /^((?: {4})* {2})---$/.exec(line)?.[1];
    const result = RESULT.exec(line);
    if (result === null) return;
    const depth = (result[1] ?? "").length / 4;
    const { name, directive } = splitName(result[3] ?? "");
    const status = readStatus(result[2] === "ok", directive);
    const children = levels[depth + 1] ?? [];
    levels.length = Math.min(levels.length, depth + 1);
    while (levels.length <= depth) levels.push([]);
    last = { path: [name], status, isFile: depth === 0 && isFilePath(name) };
    levels[depth]?.push(...(children.length === 0 ? [last] : children.map((child) => within(name, depth, child))));
    if (children.length > 0) last = undefined;
  });
  return toMap(levels[0] ?? []);
};

interface Leaf {
  readonly path: readonly string[];
  status: string;
  readonly isFile: boolean;
}

const RESULT = /^((?: {4})*)(ok|not ok) \d+ - (.*)$/;

/** A leaf that is a file ran no test: it says something only when it failed, which it does when it could not be loaded. */
function toMap(leaves: readonly Leaf[]): Map<string, string> {
  const statuses = new Map<string, string>();
  for (const { path, status, isFile } of leaves) {
    if (status === "EMPTY_SUITE" || (isFile && status !== "FAILED")) continue;
    const test = path.join(" > ");
    if (statuses.get(test) !== "FAILED") statuses.set(test, isFile ? "ERROR" : status);
  }
  return statuses;
}

/** Node 18 and 20 wrap the tests of a file in one that is named by its path. */
function within(name: string, depth: number, child: Leaf): Leaf {
  return depth === 0 && isFilePath(name) ? child : { ...child, path: [name, ...child.path] };
}

function isFilePath(name: string): boolean {
  return /\.[cm]?[jt]sx?$/.test(name) && (name.startsWith("/") || !/\s/.test(name));
}

/** `#` and `\` in names are escaped, so that a bare " # " begins a directive. */
function splitName(text: string): { readonly name: string; readonly directive: string } {
  const match = /^((?:[^\\#]|\\.|(?<! )#)*?)(?: # (SKIP|TODO)\b.*)?$/.exec(text);
  return { name: (match?.[1] ?? text).replace(/\\([\\#])/g, "$1"), directive: match?.[2] ?? "" };
}

/** A test marked TODO may fail, which then counts as not run: it must not resolve anything. */
function readStatus(ok: boolean, directive: string): string {
  if (directive === "SKIP") return "SKIPPED";
  if (directive === "TODO" && !ok) return "SKIPPED";
  return ok ? "PASSED" : "FAILED";
}
