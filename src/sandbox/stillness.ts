/** A sandbox that stands still while somebody wants it to: stopped for the first who does, let go on with the last. One who finds it being stopped waits until it is. */
export class Stillness {
  readonly #stop: () => Promise<unknown>;
  readonly #letGo: () => Promise<unknown>;
  #holders = 0;
  #changed: Promise<unknown> = Promise.resolve();

  constructor(stop: () => Promise<unknown>, letGo: () => Promise<unknown>) {
    this.#stop = stop;
    this.#letGo = letGo;
  }

  async hold(): Promise<AsyncDisposable> {
    const stopped = this.#holders++ === 0 ? this.#change(this.#stop) : this.#changed;
    try {
      await stopped;
    } catch (error) {
      this.#holders--;
      throw error;
    }
    let held = true;
    return {
      [Symbol.asyncDispose]: async (): Promise<void> => {
        if (!held) return;
        held = false;
        if (--this.#holders === 0) await this.#change(this.#letGo);
      },
    };
  }

  /** One after the other, whatever became of the last one. */
  #change(change: () => Promise<unknown>): Promise<unknown> {
    this.#changed = this.#changed.then(change, change);
    return this.#changed;
  }
}
