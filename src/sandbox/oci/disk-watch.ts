import type { Launcher } from "./launcher.ts";

/** A sandbox whose own layer is a plain folder: no limit of the kernel holds it. */
export interface WatchedDisk {
  readonly folder: string;
  /** Whether anything ran since the last look. */
  stirred(): boolean;
  measured(bytes: number): void;
}

/**
 * Looks at the size of every folder in which something runs, once a second or more rarely where the looking itself takes long. A sandbox can overshoot its limit by what
 * it writes in that time.
 */
export class DiskWatch implements Disposable {
  readonly #launcher: Launcher;
  readonly #disks = new Set<WatchedDisk>();
  #timer: NodeJS.Timeout | undefined;

  constructor(launcher: Launcher) {
    this.#launcher = launcher;
  }

  add(disk: WatchedDisk): void {
    this.#disks.add(disk);
    if (this.#timer === undefined) this.#wait(PAUSE_MS);
  }

  delete(disk: WatchedDisk): void {
    this.#disks.delete(disk);
  }

  /** Looks at one folder now. */
  async measure(folder: string): Promise<number> {
    return (await this.#sizes([folder])).get(folder) ?? 0;
  }

  [Symbol.dispose](): void {
    this.#disks.clear();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #wait(pauseMs: number): void {
    this.#timer = setTimeout(() => void this.#look(), pauseMs).unref();
  }

  async #look(): Promise<void> {
    const started = performance.now();
    const stirred = [...this.#disks].filter((disk) => disk.stirred());
    const sizes = await this.#sizes(stirred.map((disk) => disk.folder)).catch(() => new Map<string, number>());
    for (const disk of stirred) {
      const bytes = sizes.get(disk.folder);
      if (bytes !== undefined && this.#disks.has(disk)) disk.measured(bytes);
    }
    this.#timer = undefined;
    if (this.#disks.size > 0) this.#wait(Math.max(PAUSE_MS, 10 * (performance.now() - started)));
  }

  /** One program for all; each on its own only when that takes too long, so that a folder past counting does not hide the others. */
  async #sizes(folders: readonly string[]): Promise<Map<string, number>> {
    if (folders.length === 0) return new Map();
    const argv = ["du", "-s", "-x", "--block-size=1", "--", ...folders];
    const { code, stdout } = await this.#launcher.run({ argv, open: [], timeoutMs: COUNT_MS });
    if (code === null && folders.length === 1)
      return new Map(folders.map((folder) => [folder, Number.POSITIVE_INFINITY]));
    if (code === null) {
      const each: [string, number][] = [];
      for (const folder of folders) each.push(...(await this.#sizes([folder])));
      return new Map(each);
    }
    const lines = stdout.split("\n").map((line) => /^(\d+)\t(.+)$/.exec(line));
    return new Map(lines.flatMap((match) => (match === null ? [] : [[match[2] ?? "", Number(match[1])] as const])));
  }
}

/** A folder that takes longer to count is over any limit. */
const COUNT_MS = 20_000;
const PAUSE_MS = 1_000;
