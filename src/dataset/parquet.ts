import type { SchemaElement } from "hyparquet";
import { fileWriter, ParquetWriter } from "hyparquet-writer";

/** A column's type: a leaf, a list of one thing, or a struct. */
export type Shape = "string" | "int64" | "boolean" | readonly [Shape] | { readonly [field: string]: Shape };

const GROUP_ROWS = 2000;

/** Writes records to a Parquet file, a group of rows at a time: memory does not grow with the file. int64 takes bigint. */
export class ParquetFile {
  readonly #writer: ParquetWriter;
  readonly #columns: readonly string[];
  #rows: Readonly<Record<string, unknown>>[] = [];

  /** The file is made, or emptied. */
  constructor(path: string, columns: Readonly<Record<string, Shape>>) {
    this.#columns = Object.keys(columns);
    const fields = Object.entries(columns).flatMap(([name, shape]) => elements(name, shape));
    const schema = [{ name: "schema", num_children: this.#columns.length }, ...fields];
    this.#writer = new ParquetWriter({ writer: fileWriter(path), schema });
  }

  async write(record: Readonly<Record<string, unknown>>): Promise<void> {
    this.#rows.push(record);
    if (this.#rows.length === GROUP_ROWS) await this.#flush();
  }

  /** Without it the file cannot be read. */
  async close(): Promise<void> {
    if (this.#rows.length > 0) await this.#flush();
    await this.#writer.finish();
  }

  async #flush(): Promise<void> {
    const rows = this.#rows;
    this.#rows = [];
    const columnData = this.#columns.map((name) => ({ name, data: rows.map((row) => row[name]) }));
    await this.#writer.write({ columnData, rowGroupSize: GROUP_ROWS });
  }
}

/** A column as Parquet's flat list of schema elements. */
function elements(name: string, shape: Shape): SchemaElement[] {
  if (shape === "string") return [{ name, type: "BYTE_ARRAY", converted_type: "UTF8", ...STRING, ...OPTIONAL }];
  if (shape === "int64") return [{ name, type: "INT64", ...OPTIONAL }];
  if (shape === "boolean") return [{ name, type: "BOOLEAN", ...OPTIONAL }];
  if (isList(shape)) {
    const list: SchemaElement = { name, converted_type: "LIST", logical_type: { type: "LIST" }, num_children: 1 };
    return [
      { ...list, ...OPTIONAL },
      { name: "list", repetition_type: "REPEATED", num_children: 1 },
      ...elements("element", shape[0]),
    ];
  }
  const fields = Object.entries(shape);
  return [{ name, num_children: fields.length, ...OPTIONAL }, ...fields.flatMap(([key, of]) => elements(key, of))];
}

const OPTIONAL = { repetition_type: "OPTIONAL" } as const;
const STRING = { logical_type: { type: "STRING" } } as const;

function isList(shape: Shape): shape is readonly [Shape] {
  return Array.isArray(shape);
}
