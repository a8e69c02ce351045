import { append } from "../sandbox/runner/output.ts";
import type { OutputChunk } from "../sandbox/sandbox.ts";
import { Bell } from "./waiting.ts";

/** The output of the running step, for any number of readers at their own speed. Keeps the last `keepBytes`; a reader that is slower sees a jump of the offset. */
export class LiveOutput {
  #startedAt: number | undefined;
  #chunks: OutputChunk[] = [];
  #dropped = 0;
  #held = 0;
  #base = 0;
  #end = 0;
  #over = false;
  #bell = new Bell();
  readonly #keepBytes: number;

  constructor(keepBytes = 1 << 20) {
    this.#keepBytes = keepBytes;
  }

  begin(): void {
    this.#startedAt = performance.now();
  }

  /** How long the step has been running; 0 = it waits. */
  runningMs(): number {
    return this.#startedAt === undefined ? 0 : Math.round(performance.now() - this.#startedAt);
  }

  get end(): number {
    return this.#end;
  }

  /** Offsets of the chunk count from the begin of its own command. */
  push(chunk: OutputChunk): void {
    const offset = this.#base + chunk.offset;
    if (offset < this.#end) return; // sent again after a re-attach
    if (chunk.offset === 0) this.#chunks.push({ ...chunk, offset });
    else append(this.#chunks, { ...chunk, offset }, this.#keepBytes);
    this.#end = offset + chunk.data.length;
    this.#held += chunk.data.length;
    while (this.#held > this.#keepBytes && this.#chunks.length > 1) {
      this.#held -= this.#chunks.shift()?.data.length ?? 0;
      this.#dropped += 1;
    }
    this.#bell.ring();
  }

  /** The next command of the same step counts on from here. */
  nextCommand(outputBytes: number): void {
    this.#base += outputBytes;
    this.#end = this.#base;
  }

  finish(): void {
    this.#over = true;
    this.#bell.ring();
  }

  /**
   * Chunks that reach beyond `from`; one that grew meanwhile comes again, longer. An undefined tells that nothing came for `quietMs`. Ends when the step does, or the
   * signal fires.
   */
  async *read(from: number, quietMs: number, signal: AbortSignal): AsyncIterable<OutputChunk | undefined> {
    let index = 0;
    let position = from;
    while (!signal.aborted) {
      index = Math.max(index, this.#dropped);
      const chunk = this.#chunks[index - this.#dropped];
      const end = chunk ? chunk.offset + chunk.data.length : 0;
      if (chunk && end > position) {
        position = end;
        yield chunk;
      } else if (index < this.#dropped + this.#chunks.length - 1) index += 1;
      else if (this.#over) return;
      else if (!(await this.#bell.next(quietMs, signal))) yield undefined;
    }
  }
}
