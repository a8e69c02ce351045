import { type ProcessTable, processTable } from "../tree.ts";

/** A sandbox whose memory no control group limits. */
export interface WatchedMemory {
  keepMemory(table: ProcessTable): void;
}

/** Looks at the memory of every sandbox four times a second, or more rarely where the looking itself takes long. A sandbox can overshoot its limit by what it takes in that time. */
export class MemoryWatch implements Disposable {
  readonly #sandboxes = new Set<WatchedMemory>();
  #timer: NodeJS.Timeout | undefined;

  add(sandbox: WatchedMemory): void {
    this.#sandboxes.add(sandbox);
    if (this.#timer === undefined) this.#wait(PAUSE_MS);
  }

  delete(sandbox: WatchedMemory): void {
    this.#sandboxes.delete(sandbox);
    if (this.#sandboxes.size === 0) this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #wait(pauseMs: number): void {
    this.#timer = setTimeout(() => this.#look(), pauseMs).unref();
  }

  #look(): void {
    const started = performance.now();
    const table = processTable();
    for (const sandbox of this.#sandboxes) sandbox.keepMemory(table);
    this.#wait(Math.max(PAUSE_MS, 20 * (performance.now() - started)));
  }
}

const PAUSE_MS = 250;
