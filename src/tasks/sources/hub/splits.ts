import { SandlotError } from "../../../errors.ts";
import { show } from "../../../problem.ts";
import type { ListedFile, Listing } from "./listing.ts";
import { type DatasetReference, showReference } from "./reference.ts";

export interface Split {
  readonly name: string;
  readonly files: readonly ListedFile[];
}

/**
 * The files of what a reference asks for. A split is what the data set's card says it is, else what the names of the files say, as for the hub's
 * own library. Fault `invalid` when there is no such split, or several and none was asked for.
 */
export function splitOf(listing: Listing, reference: DatasetReference): Split {
  const { what } = reference;
  if ("glob" in what) {
    const files = matching(listing.files, [what.glob]);
    if (files.length > 0) return { name: "", files };
    throw wrong(
      reference,
      `files of the data set that match ${what.glob}`,
      listed(listing.files.map(({ path }) => path)),
    );
  }
  const splits = splitsOf(listing, reference, what.config);
  const wanted = what.split === "" && splits.length === 1 ? splits[0] : splits.find(({ name }) => name === what.split);
  if (wanted !== undefined && wanted.files.length > 0) return wanted;
  const expected = `one of the splits ${listed(splits.map(({ name }) => name))} of the data set`;
  throw wrong(reference, expected, what.split === "" ? "none" : show(what.split));
}

function splitsOf(listing: Listing, reference: DatasetReference, wanted: string): readonly Split[] {
  const { files, configs } = listing;
  const config =
    wanted === ""
      ? (configs.find((one) => one.default) ?? configs.find(({ name }) => name === "default") ?? configs[0])
      : configs.find(({ name }) => name === wanted);
  if (config !== undefined) {
    return config.splits.map(({ name, globs }) => ({ name, files: matching(files, globs) }));
  }
  if (wanted !== "" && wanted !== "default") {
    throw wrong(reference, `one of the configurations ${listed(configs.map(({ name }) => name))}`, show(wanted));
  }
  const bySplit = Map.groupBy(files, ({ path }) => splitOfPath(path));
  return [...bySplit].map(([name, own]) => ({ name, files: own }));
}

/** Words in the names of files and folders that tell a split where no card does. */
const KEYWORDS: readonly (readonly [split: string, words: readonly string[]])[] = [
  ["test", ["test", "testing", "eval", "evaluation"]],
  ["validation", ["validation", "valid", "val", "dev"]],
  ["train", ["train", "training"]],
];

function splitOfPath(path: string): string {
  const sharded = /(?:^|\/)([\w.]+)-\d{5}-of-\d{5}[^/]*$/.exec(path)?.[1];
  if (sharded !== undefined) return sharded;
  const words = path.toLowerCase().split(/[^a-z0-9]+/);
  return KEYWORDS.find(([, known]) => known.some((word) => words.includes(word)))?.[0] ?? "train";
}

function matching(files: readonly ListedFile[], globs: readonly string[]): readonly ListedFile[] {
  const patterns = globs.map(toPattern);
  return files.filter(({ path }) => patterns.some((pattern) => pattern.test(path)));
}

/** `*` and `?` stay within a folder, `**` does not. */
function toPattern(glob: string): RegExp {
  const source = glob.replace(/^\.\//, "").replace(/\*\*\/|\*\*|\*|\?|[^\w/]/g, (part) => GLOB[part] ?? `\\${part}`);
  return new RegExp(`^${source}$`);
}

const GLOB: Readonly<Record<string, string>> = { "**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]" };

function listed(names: readonly string[]): string {
  return names.length > 12
    ? `${names.slice(0, 12).join(", ")} and ${names.length - 12} more`
    : names.join(", ") || "(none)";
}

function wrong(reference: DatasetReference, expected: string, got: string): SandlotError {
  return new SandlotError("invalid", `${showReference(reference)}: expected ${expected}, got ${got}`, {
    field: "tasks",
  });
}
