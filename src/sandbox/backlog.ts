/** Bytes that arrived in parts and are taken in pieces. A piece that lies within one part is a view of it; what lies across several is copied once, however many they are. */
export class Backlog {
  readonly #parts: Buffer[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(part: Buffer): void {
    if (part.length === 0) return;
    this.#parts.push(part);
    this.#size += part.length;
  }

  /** Undefined as long as there are fewer. They stay. */
  peek(bytes: number): Buffer | undefined {
    if (this.#size < bytes) return undefined;
    const [first] = this.#parts;
    if (first !== undefined && first.length >= bytes) return first.subarray(0, bytes);
    const taken = this.take(bytes);
    if (taken !== undefined) this.#parts.unshift(taken);
    this.#size += bytes;
    return taken;
  }

  /** Undefined as long as there are fewer. */
  take(bytes: number): Buffer | undefined {
    if (this.#size < bytes) return undefined;
    const taken: Buffer[] = [];
    for (let left = bytes; left > 0; ) {
      const part = this.#parts.shift();
      if (part === undefined) break;
      taken.push(part.subarray(0, left));
      if (part.length > left) this.#parts.unshift(part.subarray(left));
      left -= Math.min(left, part.length);
    }
    this.#size -= bytes;
    const [only] = taken;
    return taken.length === 1 ? only : Buffer.concat(taken, bytes);
  }
}
