import type { Read } from "../../problem.ts";
import { chunks } from "./bytes.ts";
import type { SourceRow } from "./source.ts";

/** The rows of a file with one JSON object a line. */
export async function* jsonLines(file: string, name: string): AsyncGenerator<SourceRow> {
  let number = 0;
  for await (const line of lines(file)) {
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
  for await (const chunk of chunks(file)) {
    let bytes = chunk;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10)) {
      yield Buffer.concat([...rest, bytes.subarray(0, end)]);
      rest = [];
      bytes = bytes.subarray(end + 1);
    }
    rest.push(bytes);
  }
  yield Buffer.concat(rest);
}

function isBlank(line: Uint8Array): boolean {
  return line.every((byte) => byte === 32 || byte === 13 || byte === 9);
}
