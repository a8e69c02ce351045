import { setTimeout as sleep } from "node:timers/promises";

export interface WatchedDisk {
  /** Whether anything may have been written since it was last asked. */
  stirred(): boolean;
  /** Bytes in its writable layer, as the engine counts them. */
  size(): Promise<number>;
  measured(bytes: number): void;
}

const PAUSE_MS = 1_000;

/** Measures, one after the other, what has a disk that the engine does not limit. Runs only while there is something to watch. */
export class DiskWatch {
  readonly #watched = new Set<WatchedDisk>();
  #looking: Promise<void> | undefined;

  add(disk: WatchedDisk): void {
    this.#watched.add(disk);
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
  }

  delete(disk: WatchedDisk): void {
    this.#watched.delete(disk);
  }

  async #look(): Promise<void> {
    while (this.#watched.size > 0) {
      await sleep(PAUSE_MS, undefined, { ref: false });
      for (const disk of [...this.#watched]) {
        if (!this.#watched.has(disk) || !disk.stirred()) continue;
        // One that is just going, or an engine that is down: the next round asks again.
        const bytes = await disk.size().catch(() => undefined);
        if (bytes !== undefined) disk.measured(bytes);
      }
    }
  }
}
