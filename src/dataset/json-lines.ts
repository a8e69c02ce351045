import { type FileHandle, open } from "node:fs/promises";

const BUFFER_CHARACTERS = 1 << 20;

/** Writes records to a file of JSON lines; memory does not grow with the file. */
export class JsonLinesFile {
  readonly #handle: FileHandle;
  #text = "";

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** The file is made, or emptied. */
  static async create(path: string): Promise<JsonLinesFile> {
    return new JsonLinesFile(await open(path, "w"));
  }

  async write(record: Readonly<Record<string, unknown>>): Promise<void> {
    this.#text += `${JSON.stringify(record)}\n`;
    if (this.#text.length >= BUFFER_CHARACTERS) await this.#flush();
  }

  async close(): Promise<void> {
    await this.#flush();
    await this.#handle.close();
  }

  async #flush(): Promise<void> {
    const text = this.#text;
    this.#text = "";
    await this.#handle.write(text);
  }
}
