import { createReadStream } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { SandlotError } from "../errors.ts";
import { check, type Read, show } from "./problem.ts";
import { type RowOrigin, readSwebenchRow } from "./swebench.ts";
import { Task } from "./task.ts";

const MAX_PROBLEMS = 20;

/**
 * The tasks of a JSON-lines file (`.jsonl`, or `.jsonl.gz`): one object a line, of our own schema or, told by `instance_id`, in SWE-bench form. Relative paths in it are relative to it.
 * Anything wrong is one `invalid` error with each problem as `file:line: field: expected ..., got ...`; half a file is never served.
 */
export async function readTaskFile(path: string): Promise<readonly Task[]> {
  const file = resolve(path);
  const origin = originOf(file);
  const tasks: Task[] = [];
  const lineOf = new Map<string, number>();
  const problems: string[] = [];
  for await (const { number, read } of rows(file, origin)) {
    if (!read.ok) {
      problems.push(...read.problems.map((problem) => `${path}:${number}: ${problem}`));
      continue;
    }
    const first = lineOf.get(read.value.id);
    if (first !== undefined) {
      problems.push(`${path}:${number}: id: expected an id of its own, got ${show(read.value.id)} of line ${first}`);
    }
    lineOf.set(read.value.id, first ?? number);
    tasks.push(read.value);
  }
  if (problems.length > 0) throw new SandlotError("invalid", listing(problems), { field: "tasks" });
  return tasks;
}

function originOf(file: string): RowOrigin {
  const dataset = basename(file)
    .replace(/\.gz$/, "")
    .replace(/\.jsonl?$/, "");
  return { folder: dirname(file), dataset, split: "" };
}

async function* rows(
  file: string,
  origin: RowOrigin,
): AsyncGenerator<{ readonly number: number; readonly read: Read<Task> }> {
  let number = 0;
  for await (const line of lines(file)) {
    number += 1;
    if (!isBlank(line)) yield { number, read: readRow(line, origin) };
  }
}

function readRow(line: Uint8Array, origin: RowOrigin): Read<Task> {
  let row: unknown;
  try {
    row = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line));
  } catch (error) {
    return { ok: false, problems: [`(row): expected one JSON object in UTF-8, got ${(error as Error).message}`] };
  }
  if (typeof row === "object" && row !== null && "instance_id" in row) return readSwebenchRow(row, origin);
  const read = check(Task, withSource(row, origin));
  return read.ok ? { ok: true, value: withAbsolutePaths(read.value, origin.folder) } : read;
}

/** `source` may be left out of a row of our own: it is then the file's name. */
function withSource(row: unknown, origin: RowOrigin): unknown {
  if (typeof row !== "object" || row === null || Array.isArray(row) || "source" in row) return row;
  return { ...row, source: { dataset: origin.dataset } };
}

function withAbsolutePaths(task: Task, folder: string): Task {
  const { repository, rootfs } = task.environment;
  return {
    ...task,
    environment: {
      ...task.environment,
      repository: "path" in repository ? { ...repository, path: resolve(folder, repository.path) } : repository,
      rootfs: "path" in rootfs ? { ...rootfs, path: resolve(folder, rootfs.path) } : rootfs,
    },
  };
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

function listing(problems: readonly string[]): string {
  const more = problems.length - MAX_PROBLEMS;
  return [...problems.slice(0, MAX_PROBLEMS), ...(more > 0 ? [`and ${more} more`] : [])].join("\n");
}
