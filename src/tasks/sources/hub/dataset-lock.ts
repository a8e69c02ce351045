import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { parse, stringify } from "yaml";
import { z } from "zod";
import { SandlotError } from "../../../errors.ts";
import { check, show } from "../../../problem.ts";
import { isErrno } from "../../../sandbox/identity.ts";
import { DATASET_ID, REVISION } from "./reference.ts";

const LockedDataset = z.strictObject({
  revision: z.string().regex(REVISION, "expected a full commit id, 40 hex digits"),
  /** The day on which the files were fetched, in UTC. */
  retrieved: z.string().regex(/^\d{4}-\d{2}-\d{2}$/, "expected a day, YYYY-MM-DD"),
  /** The sha256 of each file, by its path in the data set. */
  files: z.record(z.string().min(1), z.string().regex(/^[0-9a-f]{64}$/, "expected a sha256, 64 hex digits")),
});
export type LockedDataset = z.infer<typeof LockedDataset>;

const LockFile = z.strictObject({
  datasets: z.record(z.string().regex(DATASET_ID, "expected owner/name"), LockedDataset).nullable(),
});

/** What is served of data sets on the hub, to the byte. Nothing but `sandlot dataset lock` changes the file. */
export interface DatasetLock {
  readonly file: string;
  readonly datasets: ReadonlyMap<string, LockedDataset>;
}

const HEADER = `# What is served of data sets on the hub: the commit and the sha256 of each file. \`sandlot dataset lock\` writes this file; a
# server whose data differ from it does not start.
`;

/** A file that is not there locks nothing. */
export async function readLock(file: string): Promise<DatasetLock> {
  const read = check(LockFile, await parseFile(file));
  if (read.ok) return { file, datasets: new Map(Object.entries(read.value.datasets ?? {})) };
  throw wrong(read.problems.map((problem) => `${file}: ${problem}`).join("\n"));
}

export async function writeLock({ file, datasets }: DatasetLock): Promise<void> {
  const sorted = [...datasets].sort(([a], [b]) => (a < b ? -1 : 1));
  const text = stringify({ datasets: Object.fromEntries(sorted) }, { lineWidth: 0 });
  const draft = `${file}.${randomBytes(6).toString("hex")}`;
  await mkdir(dirname(file), { recursive: true });
  await writeFile(draft, HEADER + text);
  await rename(draft, file);
}

/** The commit to serve: the one that is asked for, which must be the locked one where there is one. */
export function lockedRevision({ file, datasets }: DatasetLock, id: string, asked: string): string {
  const locked = datasets.get(id)?.revision;
  if (asked !== "" && locked !== undefined && asked !== locked) {
    throw wrong(`${file}: expected ${id} at the locked revision ${locked}, got ${asked}: ${UPDATE}`);
  }
  const revision = asked || locked;
  if (revision !== undefined) return revision;
  throw wrong(
    `${file}: expected an entry for ${id}, or a commit id after @, got none: \`sandlot dataset lock --dataset ${id}\` adds one`,
  );
}

/** Fails when the file that was fetched is not the file that was locked. */
export function checkLocked({ file, datasets }: DatasetLock, id: string, path: string, sha256: string): void {
  const entry = datasets.get(id);
  if (entry === undefined || entry.files[path] === sha256) return;
  const expected = entry.files[path];
  const what = `${path} of ${id}@${entry.revision}`;
  if (expected === undefined) throw wrong(`${file}: expected a sha256 for ${what}, got none: ${UPDATE}`);
  throw wrong(`${file}: expected the sha256 ${expected} of ${what}, got ${sha256}: ${UPDATE}`);
}

const UPDATE = "`sandlot dataset lock` updates it";

async function parseFile(file: string): Promise<unknown> {
  try {
    // Every scalar as text: digits alone are no number here.
    return parse(await readFile(file, "utf8"), { schema: "failsafe" }) ?? { datasets: null };
  } catch (cause) {
    if (isErrno(cause, "ENOENT")) return { datasets: null };
    throw wrong(
      `expected a readable lock file at ${file}, got ${cause instanceof Error ? cause.message : show(cause)}`,
    );
  }
}

function wrong(message: string): SandlotError {
  return new SandlotError("invalid", message, { field: "tasks", knob: "tasks.lock" });
}
