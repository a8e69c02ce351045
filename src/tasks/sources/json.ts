import { SandlotError } from "../../errors.ts";
import { chunks } from "./bytes.ts";
import { jsonLines } from "./json-lines.ts";
import type { SourceRow } from "./source.ts";

/** The rows of a file that holds one JSON list; one that does not begin with `[` is read as JSON lines, which often end in `.json` too. */
export async function* json(file: string, name: string): AsyncGenerator<SourceRow> {
  if ((await firstByte(file)) !== 0x5b) {
    yield* jsonLines(file, name);
    return;
  }
  for (const [index, value] of (await list(file, name)).entries()) {
    yield { place: `${name}[${index}]`, row: { ok: true, value } };
  }
}

async function firstByte(file: string): Promise<number | undefined> {
  for await (const chunk of chunks(file)) {
    const first = chunk.find((byte) => ![0x20, 0x09, 0x0a, 0x0d].includes(byte));
    if (first !== undefined) return first;
  }
  return undefined;
}

async function list(file: string, name: string): Promise<readonly unknown[]> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks(file)) parts.push(chunk);
  try {
    // A text that begins with `[` and parses is a list.
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(parts))) as unknown[];
  } catch (cause) {
    const message = `${name}: expected one JSON list in UTF-8, got ${(cause as Error).message}`;
    throw new SandlotError("invalid", message, { field: "tasks", cause });
  }
}
