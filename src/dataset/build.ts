import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { SandlotError } from "../errors.ts";
import type { Task } from "../tasks/task.ts";
import { DATASET_FORMATS, VERL_COLUMNS } from "./formats.ts";
import { JsonLinesFile } from "./json-lines.ts";
import { ParquetFile } from "./parquet.ts";
import { chat, type Row, type RowOptions, rowOf } from "./row.ts";
import { isWanted, type Selection, splitOf } from "./select.ts";
import type { TokenCount } from "./tokens.ts";

export interface BuildOptions extends RowOptions {
  /** Made if it is not there. */
  readonly folder: string;
  readonly format: keyof typeof DATASET_FORMATS;
  readonly selection: Selection;
  /** At most so many rows of each split, the first ones. */
  readonly most: Readonly<Record<Row["split"], number>>;
  /** Prompts with more tokens are left out. */
  readonly prompt?: { readonly maxTokens: number; readonly count: TokenCount };
}

export interface Built {
  readonly files: readonly { readonly path: string; readonly rows: number }[];
  readonly tasks: number;
  readonly tooLong: number;
}

const SPLITS = ["train", "val"] as const;

/**
 * Writes `train` and `val` of a trainer's data set, in the order of the tasks; both files take their names when all of it is written. Memory does not grow with the tasks. Fault `invalid` when a split
 * that should have rows has none.
 */
export async function buildDataset(tasks: AsyncIterable<Task>, options: BuildOptions): Promise<Built> {
  const { folder, format, selection, most } = options;
  await mkdir(folder, { recursive: true });
  const sides = await Promise.all(SPLITS.map((split) => Side.open(folder, split, format)));
  const built = { tasks: 0, tooLong: 0 };
  try {
    for await (const task of tasks) {
      if (!isWanted(task, selection)) continue;
      built.tasks += 1;
      const split = splitOf(task, selection);
      const side = sides.find((each) => each.split === split);
      if (!side || side.rows >= most[split]) continue;
      if (isTooLong(task, options)) built.tooLong += 1;
      else await side.add(task, options);
      if (sides.every((each) => each.rows >= most[each.split])) break;
    }
    refuseEmpty(sides, selection, built.tasks);
    for (const side of sides) await side.publish();
  } finally {
    for (const side of sides) await side.discard();
  }
  return { ...built, files: sides.map(({ path, rows }) => ({ path, rows })) };
}

function isTooLong(task: Task, { prompt, failingTests }: BuildOptions): boolean {
  return prompt !== undefined && prompt.count(chat(task, failingTests)) > prompt.maxTokens;
}

function refuseEmpty(sides: readonly Side[], { val }: Selection, tasks: number): void {
  const empty = sides.filter(({ split, rows }) => rows === 0 && (split === "train" ? val < 1 : val > 0));
  if (empty.length === 0) return;
  const names = empty.map(({ split }) => split).join(" and ");
  const message = `expected rows for ${names}, got none of ${tasks} tasks: widen the filters, or change the seed or the share of val`;
  throw new SandlotError("invalid", message, { field: "val" });
}

/** One of the two files, under another name until it is whole. */
class Side {
  readonly split: Row["split"];
  readonly path: string;
  readonly #making: string;
  readonly #format: keyof typeof DATASET_FORMATS;
  readonly #file: ParquetFile | JsonLinesFile;
  rows = 0;
  #isOpen = true;

  private constructor(
    split: Row["split"],
    path: string,
    format: keyof typeof DATASET_FORMATS,
    file: ParquetFile | JsonLinesFile,
  ) {
    this.split = split;
    this.path = path;
    this.#making = making(path);
    this.#format = format;
    this.#file = file;
  }

  static async open(folder: string, split: Row["split"], format: keyof typeof DATASET_FORMATS): Promise<Side> {
    const { extension } = DATASET_FORMATS[format];
    const path = join(folder, `${split}.${extension}`);
    const file =
      extension === "parquet" ? new ParquetFile(making(path), VERL_COLUMNS) : await JsonLinesFile.create(making(path));
    return new Side(split, path, format, file);
  }

  async add(task: Task, options: RowOptions): Promise<void> {
    const row = rowOf(task, { index: this.rows, split: this.split }, options);
    await this.#file.write(DATASET_FORMATS[this.#format].record(row));
    this.rows += 1;
  }

  async publish(): Promise<void> {
    await this.#close();
    await rename(this.#making, this.path);
  }

  /** Of no effect on a file that was published. */
  async discard(): Promise<void> {
    await this.#close().catch(() => undefined); // it goes away whole or not
    await rm(this.#making, { force: true });
  }

  async #close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#file.close();
  }
}

function making(path: string): string {
  return `${path}.making-${process.pid}`;
}
