import { indentOf, strip } from "../python-text.ts";

/** Suites as their indentation nests them. */
export class Suites {
  readonly #open: { readonly name: string; readonly indent: number }[] = [];

  /** A line that is indented opens a suite, and closes those that are indented as much or more. */
  read(line: string): void {
    const indent = indentOf(line);
    if (indent === 0) return;
    while ((this.#open.at(-1)?.indent ?? 0) >= indent) this.#open.pop();
    this.#open.push({ name: strip(line), indent });
  }

  /** From the outermost to the innermost. */
  get names(): readonly string[] {
    return this.#open.map(({ name }) => name);
  }
}
