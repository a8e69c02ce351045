/** Runs one thing after the other, in the order of arrival. What one throws reaches only its own caller. */
export class SerialQueue {
  #tail: Promise<unknown> = Promise.resolve();
  #length = 0;

  /** Waiting and running. */
  get length(): number {
    return this.#length;
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    this.#length += 1;
    const done = this.#tail.then(work).finally(() => {
      this.#length -= 1;
    });
    this.#tail = done.catch(() => undefined);
    return done;
  }

  /** Resolves when all that is queued now is done. */
  async idle(): Promise<void> {
    await this.#tail;
  }
}
