import { statfs } from "node:fs/promises";

/** Below it, what runs in sandboxes may have met the end of the host's disk before its own limit. */
const LEAST_MIB = 256;

/** Says in words that the disk of a folder is all but full; undefined when it is not. */
export async function diskLack(folder: string, leastMiB = LEAST_MIB): Promise<string | undefined> {
  const { bavail, bsize } = await statfs(folder);
  const freeMiB = Math.floor((bavail * bsize) / 1_048_576);
  if (freeMiB >= leastMiB) return undefined;
  return `the disk of the state folder has ${freeMiB} MiB left, less than the ${leastMiB} MiB without which no run proves anything`;
}
