/** Work on the same id goes one after the other, whatever became of what went before. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Whether something is under way on it. */
  has(id: string): boolean {
    return this.#last.has(id);
  }

  async take<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(id);
    const turn = (async (): Promise<T> => {
      await before?.catch(() => undefined);
      return await work();
    })();
    this.#last.set(id, turn);
    try {
      return await turn;
    } finally {
      if (this.#last.get(id) === turn) this.#last.delete(id);
    }
  }

  /** Resolves when what is under way now is over. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#last.values());
  }
}
