import type { OutputChunk } from "../sandbox.ts";

/**
 * Head and tail of a command's output, as the runner keeps them: the first half of `keepBytes` and the last. It takes chunks in order of their offset and holds
 * little more than it will be asked for, however much passes by.
 */
export class KeptOutput {
  readonly #keepBytes: number;
  #head: OutputChunk[] = [];
  #tail: OutputChunk[] = [];
  #tailBytes = 0;
  #next = 0;

  constructor(keepBytes: number) {
    this.#keepBytes = keepBytes;
  }

  /** The offset after the last byte seen. */
  get nextOffset(): number {
    return this.#next;
  }

  get chunks(): readonly OutputChunk[] {
    return [...this.#head, ...this.#tail];
  }

  add(chunk: OutputChunk): void {
    this.#next = chunk.offset + chunk.data.length;
    if (chunk.offset < this.#keepBytes / 2) {
      append(this.#head, chunk, this.#keepBytes);
      return;
    }
    append(this.#tail, chunk, this.#keepBytes);
    this.#tailBytes += chunk.data.length;
    while (this.#tail.length > 1 && this.#tailBytes - (this.#tail[0]?.data.length ?? 0) >= this.#keepBytes) {
      this.#tailBytes -= this.#tail.shift()?.data.length ?? 0;
    }
  }

  /** What is kept of `outputBytes` by a runner that keeps `keepBytes`: the same chunks, however the output came here. */
  finish(keepBytes: number, outputBytes: number): OutputChunk[] {
    const headEnd = Math.floor(keepBytes / 2);
    const tailStart = Math.max(headEnd, outputBytes - (keepBytes - headEnd));
    const kept = this.chunks.flatMap((chunk) => [...cut(chunk, 0, headEnd), ...cut(chunk, tailStart, outputBytes)]);
    return joined(kept);
  }
}

/**
 * Adds a chunk to those of an output of which `keepBytes` are kept: to the last one where both are small, so that a command that prints byte by byte costs little more
 * than its bytes. The last chunk is replaced, never changed.
 */
export function append(chunks: OutputChunk[], chunk: OutputChunk, keepBytes: number): void {
  const last = chunks.at(-1);
  const touches = last?.stream === chunk.stream && last.offset + last.data.length === chunk.offset;
  if (touches && last.data.length + chunk.data.length <= Math.min(4096, keepBytes / 256))
    chunks[chunks.length - 1] = { ...last, data: Buffer.concat([last.data, chunk.data]) };
  else chunks.push(chunk);
}

function cut(chunk: OutputChunk, from: number, to: number): OutputChunk[] {
  const start = Math.max(from, chunk.offset);
  const end = Math.min(to, chunk.offset + chunk.data.length);
  if (start >= end) return [];
  return [{ ...chunk, offset: start, data: chunk.data.subarray(start - chunk.offset, end - chunk.offset) }];
}

/** Chunks that touch and are of one stream become one. */
function joined(chunks: readonly OutputChunk[]): OutputChunk[] {
  const runs: OutputChunk[][] = [];
  let next = -1;
  for (const chunk of chunks) {
    const run = runs.at(-1);
    if (run?.[0]?.stream === chunk.stream && chunk.offset === next) run.push(chunk);
    else runs.push([chunk]);
    next = chunk.offset + chunk.data.length;
  }
  return runs.flatMap((run) => {
    const first = run[0];
    if (first === undefined || run.length === 1) return run;
    return [{ ...first, data: Buffer.concat(run.map((chunk) => chunk.data)) }];
  });
}
