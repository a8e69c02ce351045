import type { StepSandbox } from "../tool.ts";

const MAX_ENTRIES = 2000;
/** Of one folder: more than so many entries, however long their names are. */
const MAX_LISTING_BYTES = 1 << 20;

/** A folder's entries two levels deep, hidden ones left out, one absolute path a line, sorted. Links are not followed. */
export async function listing(sandbox: StepSandbox, folder: string, entries: string): Promise<string> {
  const lines = [folder];
  for (const name of visible(entries)) {
    const path = join(folder, name);
    lines.push(path);
    if (!name.endsWith("/") || lines.length > MAX_ENTRIES) continue;
    const inner = await sandbox.readFile(path, { maxBytes: MAX_LISTING_BYTES });
    if (inner.type !== "directory") continue;
    for (const leaf of visible(Buffer.from(inner.data).toString())) lines.push(join(path, leaf));
  }
  const shown = lines.slice(0, MAX_ENTRIES).map((line) => (line.length > 1 ? line.replace(/\/$/, "") : line));
  const left = lines.length > MAX_ENTRIES ? [`[there are more than ${MAX_ENTRIES} entries: the rest is left out]`] : [];
  const heading = `Here's the files and directories up to 2 levels deep in ${folder}, excluding hidden items:`;
  return [heading, ...shown, ...left, ""].join("\n");
}

function visible(entries: string): readonly string[] {
  return entries
    .split("\n")
    .filter((name) => name !== "" && !name.startsWith("."))
    .toSorted();
}

function join(folder: string, name: string): string {
  return folder.endsWith("/") ? `${folder}${name}` : `${folder}/${name}`;
}
