import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { detectCgroups, folderOf } from "../sandbox/cgroup.ts";

/** Where sandboxes are: in groups below the top that this process sees, or in that of this very process. */
export type Home = "top" | "own";

/** A control group whose limit on memory holds for sandboxes too. */
export interface MemoryGroup {
  readonly version: 1 | 2;
  readonly folder: string;
}

const FILES = {
  1: { limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes", cache: /^total_(?:in)?active_file (\d+)$/gm },
  2: { limit: "memory.max", used: "memory.current", cache: /^(?:in)?active_file (\d+)$/gm },
} as const;

/** From the home of sandboxes up to the top: that of a container, or of the host, which has no limit. Empty where control groups do not count memory. `root`: where /proc and /sys are. */
export function memoryGroups(home: Home, root = "/"): readonly MemoryGroup[] {
  const cgroups = detectCgroups(root);
  const counting = cgroups?.hierarchies.find((each) => cgroups.version === 2 || each.controllers.includes("memory"));
  if (cgroups === undefined || counting === undefined) return [];
  const lines = readFileSync(join(root, "proc/self/cgroup"), "utf8").trim().split("\n");
  const top = counting.mountPoint;
  const folders = [top];
  const own = (home === "own" && folderOf(counting, lines)) || top;
  for (let folder = own; folder.startsWith(`${top}/`); folder = dirname(folder)) folders.push(folder);
  return folders.map((folder) => ({ version: cgroups.version, folder: join(root, folder) }));
}

/** What the tightest of the groups leaves, in MiB; the cache of files counts as free, since it gives way. Infinite without a limit. */
export function leftInGroups(groups: readonly MemoryGroup[]): number {
  return Math.min(Number.POSITIVE_INFINITY, ...groups.map(left));
}

function left({ version, folder }: MemoryGroup): number {
  const { limit, used, cache } = FILES[version];
  const most = bytes(folder, limit);
  if (!(most < UNLIMITED)) return Number.POSITIVE_INFINITY; // "max", or no such file at the host's own top
  const cached = [...read(folder, "memory.stat").matchAll(cache)].reduce((sum, [, count]) => sum + Number(count), 0);
  return (most - bytes(folder, used) + cached) / 1_048_576;
}

/** Version 1 says so by the largest multiple of a page. */
const UNLIMITED = 2 ** 60;

function bytes(folder: string, file: string): number {
  return Number(read(folder, file).trim() || Number.NaN);
}

function read(folder: string, file: string): string {
  try {
    return readFileSync(join(folder, file), "utf8");
  } catch {
    return "";
  }
}
