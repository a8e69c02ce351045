import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { SandlotError } from "../../errors.ts";
import type { Read } from "../../problem.ts";
import type { SourceRow } from "./source.ts";

/** The rows of a file with one JSON object a line, compressed if its path ends in `.gz`. `name` is the file in messages. */
export async function* jsonLines(path: string, name: string): AsyncGenerator<SourceRow> {
  let number = 0;
  for await (const line of lines(path)) {
    number += 1;
    if (!isBlank(line)) yield { place: `${name}:${number}`, row: parseLine(line) };
  }
}

function parseLine(line: Uint8Array): Read<unknown> {
  try {
    return { ok: true, value: JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line)) };
  } catch (error) {
    return { ok: false, problems: [`(row): expected one JSON object in UTF-8, got ${(error as Error).message}`] };
  }
}

/** Split at line feeds only: Node's readline also splits at U+2028, which JSON strings may hold as it is. */
async function* lines(file: string): AsyncGenerator<Uint8Array> {
  let rest: Buffer[] = [];
  try {
    for await (const chunk of open(file)) {
      let bytes: Buffer = chunk;
      for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10)) {
        yield Buffer.concat([...rest, bytes.subarray(0, end)]);
        rest = [];
        bytes = bytes.subarray(end + 1);
      }
      rest.push(bytes);
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SandlotError("invalid", `expected a readable file of tasks at ${file}, got ${reason}`, {
      field: "tasks",
      cause,
    });
  }
  yield Buffer.concat(rest);
}

function open(file: string): Readable {
  const bytes = createReadStream(file);
  if (!file.endsWith(".gz")) return bytes;
  const gunzip = createGunzip();
  // A failure of either stream destroys the other; the reader of `gunzip` gets the error.
  pipeline(bytes, gunzip).catch(() => undefined);
  return gunzip;
}

function isBlank(line: Uint8Array): boolean {
  return line.every((byte) => byte === 32 || byte === 13 || byte === 9);
}
