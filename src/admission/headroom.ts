import { readFileSync } from "node:fs";

export interface HeadroomOptions {
  /** What a further sandbox is expected to need; never the sum of limits. */
  readonly perSandboxMiB: number;
  /** Left alone for everything else. */
  readonly reserveMiB: number;
}

/** Tasks stalled on memory for this share of the last ten seconds: no more then. */
const PRESSED_PERCENT = 20;
/** A look costs two small files: not more often than this. */
const FRESH_MS = 50;

/** How many more sandboxes this host's free memory bears now. */
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

function count({ perSandboxMiB, reserveMiB }: HeadroomOptions, proc: string): number {
  const available =
    Number(/^MemAvailable:\s+(\d+) kB/m.exec(readFileSync(`${proc}/meminfo`, "utf8"))?.[1] ?? Number.NaN) / 1024;
  if (Number.isNaN(available)) return Number.POSITIVE_INFINITY;
  if (pressure(proc) > PRESSED_PERCENT) return 0;
  return Math.max(0, Math.floor((available - reserveMiB) / perSandboxMiB));
}

function pressure(proc: string): number {
  try {
    return Number(/^some avg10=([\d.]+)/m.exec(readFileSync(`${proc}/pressure/memory`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0; // this kernel does not tell
  }
}
