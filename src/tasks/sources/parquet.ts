import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { asyncBufferFromFile, type ParquetReadOptions, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { unreadable } from "./bytes.ts";
import type { SourceRow } from "./source.ts";

/**
 * The rows of a Parquet file: uncompressed or packed by snappy, gzip, brotli or zstd, one row group in memory at a time. A column of bytes that is
 * not marked as text comes as base64, a time in ISO form. Fault `invalid` when the file is damaged or uses what is not supported. hyparquet saves us the
 * format itself, its metadata, encodings and nesting; the packings other than snappy are Node's.
 */
export async function* parquet(path: string, name: string): AsyncGenerator<SourceRow> {
  try {
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    let rowStart = 0;
    for (const group of metadata.row_groups) {
      const rowEnd = rowStart + Number(group.num_rows);
      const rows = await parquetReadObjects({ file, metadata, rowStart, rowEnd, ...DECODING });
      for (const row of rows) {
        yield { place: `${name}[${rowStart}]`, row: { ok: true, value: plain(row) } };
        rowStart += 1;
      }
    }
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const DECODING: Pick<ParquetReadOptions, "compressors" | "parsers" | "utf8"> = {
  compressors: {
    GZIP: (input, maxOutputLength) => gunzipSync(input, { maxOutputLength }),
    BROTLI: (input, maxOutputLength) => brotliDecompressSync(input, { maxOutputLength }),
    ZSTD: (input, maxOutputLength) => zstdDecompressSync(input, { maxOutputLength }),
  },
  // The library's own decoder would drop a byte order mark and replace bad bytes.
  parsers: { stringFromBytes: (bytes) => bytes && utf8.decode(bytes) },
  utf8: false,
};

/** As the same row would stand in a JSON file. */
function plain(value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map(plain);
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, plain);
  if (typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}
