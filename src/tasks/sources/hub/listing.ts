import { z } from "zod";
import { SandlotError } from "../../../errors.ts";
import { formatOf } from "../formats.ts";
import type { Hub } from "./hub.ts";

/** The files of a data set at one commit that can hold rows. Plain JSON: kept beside the files. */
export const Listing = z.object({
  revision: z.string(),
  files: z.array(
    z.object({
      path: z.string(),
      size: z.number(),
      /** The content's sha256, or `git:` and the id of its git blob. */
      digest: z.string(),
    }),
  ),
  /** `configs` of the data set's card: which files make up which split. */
  configs: z.array(
    z.object({
      name: z.string(),
      default: z.boolean(),
      splits: z.array(z.object({ name: z.string(), globs: z.array(z.string()) })),
    }),
  ),
});
export type Listing = z.infer<typeof Listing>;
export type ListedFile = Listing["files"][number];

/** The commit that a branch, a tag or a commit id stands for, and its files. */
export async function fetchListing(hub: Hub, id: string, revision: string): Promise<Listing> {
  const { value } = await hub.json(`api/datasets/${id}/revision/${encodeURIComponent(revision)}`, Info);
  const files: ListedFile[] = [];
  let page: string | undefined = `api/datasets/${id}/tree/${value.sha}?recursive=true`;
  for (let pages = 1; page !== undefined; pages++) {
    if (pages > MAX_PAGES)
      throw new SandlotError("sandbox", `${id}: expected at most ${MAX_PAGES} pages of files, got more`);
    const tree: { value: z.infer<typeof Tree>; next?: string } = await hub.json(page, Tree);
    files.push(...tree.value.flatMap(toFile));
    page = tree.next;
  }
  return { revision: value.sha, files, configs: toConfigs(value.cardData?.configs) };
}

/** Of a thousand files each, on the real hub. */
const MAX_PAGES = 1_000;

const Info = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  cardData: z.object({ configs: z.unknown() }).partial().nullish(),
});

const Tree = z.array(
  z.object({
    type: z.string(),
    path: z.string(),
    oid: z.string(),
    size: z.number(),
    lfs: z.object({ oid: z.string(), size: z.number() }).nullish(),
  }),
);

const Globs = z.union([z.string().transform((glob) => [glob]), z.array(z.string())]);
/** `data_files` of a card: globs of one split, globs by split, or a list of splits. */
const DataFiles = z.union([
  Globs.transform((globs) => [{ name: "train", globs }]),
  z.array(z.object({ split: z.string(), path: Globs }).transform(({ split, path }) => ({ name: split, globs: path }))),
  z.record(z.string(), Globs).transform((splits) => Object.entries(splits).map(([name, globs]) => ({ name, globs }))),
]);
const CardConfig = z.object({
  config_name: z.string(),
  default: z.boolean().default(false),
  data_files: DataFiles,
});

/** A card is written by hand: what is not understood of it is left out, and the names of the files tell the splits. */
function toConfigs(configs: unknown): Listing["configs"] {
  if (!Array.isArray(configs)) return [];
  return configs.flatMap((config) => {
    const read = CardConfig.safeParse(config);
    if (!read.success) return [];
    return { name: read.data.config_name, default: read.data.default, splits: read.data.data_files };
  });
}

function toFile({ type, path, oid, size, lfs }: z.infer<typeof Tree>[number]): ListedFile[] {
  if (type !== "file" || formatOf(path) === undefined) return [];
  if (!isPlainPath(path)) throw new SandlotError("invalid", `expected files inside the data set, got one at ${path}`);
  return [{ path, size: lfs?.size ?? size, digest: lfs ? lfs.oid.replace(/^sha256:/, "") : `git:${oid}` }];
}

/** It becomes a path of ours. */
function isPlainPath(path: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  return !/[\x00-\x1f\x7f\\]/.test(path) && path.split("/").every((part) => !["", ".", ".."].includes(part));
}
