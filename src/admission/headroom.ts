import { readFileSync } from "node:fs";
import { leftInGroups, type MemoryGroup } from "./memory-bound.ts";

export interface HeadroomOptions {
  /** What a further sandbox is expected to need; never the sum of limits. */
  readonly perSandboxMiB: number;
  /** Left alone for everything else. */
  readonly reserveMiB: number;
  /** Whose limits hold for sandboxes, beside what the host has. */
  readonly groups: readonly MemoryGroup[];
}

/** Tasks stalled on memory for this share of the last ten seconds: no more then. */
const PRESSED_PERCENT = 20;
/** A look costs two small files, and three for each group: not more often than this. */
const FRESH_MS = 50;

/** How many more sandboxes the free memory bears now: the host's, or what a limit on the container leaves where that is less. */
export function memoryHeadroom(options: HeadroomOptions, proc = "/proc"): () => number {
  let lookedAt = Number.NEGATIVE_INFINITY;
  let left = 0;
  return () => {
    const now = performance.now();
    if (now - lookedAt > FRESH_MS) {
      lookedAt = now;
      left = count(options, proc);
    }
    return left;
  };
}

function count({ perSandboxMiB, reserveMiB, groups }: HeadroomOptions, proc: string): number {
  const available = Math.min(leftOnHost(proc), leftInGroups(groups));
  if (available !== Number.POSITIVE_INFINITY && pressure(proc) > PRESSED_PERCENT) return 0;
  return Math.max(0, Math.floor((available - reserveMiB) / perSandboxMiB));
}

function leftOnHost(proc: string): number {
  const [, kib] = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync(`${proc}/meminfo`, "utf8")) ?? [];
  return kib === undefined ? Number.POSITIVE_INFINITY : Number(kib) / 1024;
}

function pressure(proc: string): number {
  try {
    return Number(/^some avg10=([\d.]+)/m.exec(readFileSync(`${proc}/pressure/memory`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0; // this kernel does not tell
  }
}
