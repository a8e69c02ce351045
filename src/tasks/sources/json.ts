import { SandlotError } from "../../errors.ts";
import { chunks } from "./bytes.ts";
import { jsonLines } from "./json-lines.ts";
import type { SourceRow } from "./source.ts";

/** The rows of a file that holds one JSON list, or one row; one with a whole object on its first line is read as JSON lines, which often end in `.json` too. */
export async function* json(file: string, name: string): AsyncGenerator<SourceRow> {
  if ((await firstByte(file)) !== 0x5b && (await firstLineIsWhole(file, name))) {
    yield* jsonLines(file, name);
    return;
  }
  const value = await whole(file, name);
  if (!Array.isArray(value)) yield { place: name, row: { ok: true, value } };
  else for (const [index, row] of value.entries()) yield { place: `${name}[${index}]`, row: { ok: true, value: row } };
}

async function firstLineIsWhole(file: string, name: string): Promise<boolean> {
  for await (const { row } of jsonLines(file, name)) return row.ok;
  return true;
}

async function firstByte(file: string): Promise<number | undefined> {
  for await (const chunk of chunks(file)) {
    const first = chunk.find((byte) => !NOTHING.includes(byte));
    if (first !== undefined) return first;
  }
  return undefined;
}

/** White space, and what a byte order mark is made of. */
const NOTHING = [0x20, 0x09, 0x0a, 0x0d, 0xef, 0xbb, 0xbf];

async function whole(file: string, name: string): Promise<unknown> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks(file)) parts.push(chunk);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(parts)));
  } catch (cause) {
    const message = `${name}: expected one JSON list in UTF-8, or one object, or one on each line, got ${(cause as Error).message}`;
    throw new SandlotError("invalid", message, { field: "tasks", cause });
  }
}
