import {
  closeSync,
  fdatasync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { SandlotError } from "../errors.ts";
import type { Line } from "./lines.ts";

/** Where a line lies in its file. */
export interface Position {
  readonly start: number;
  readonly length: number;
}

/**
 * One append-only file of JSON lines. A line is written before `append` returns, which survives the death of the server; the disk is synced by `Syncer`, which only
 * a power cut needs. A line that does not fit on the disk leaves the file as it was.
 */
export class Journal {
  readonly path: string;
  #fd: number;
  #end: number;
  #syncer: Syncer;

  /** Continues after the last whole line of the file; a torn one is cut off. Fault `busy` where the file cannot be made. */
  constructor(path: string, syncer: Syncer) {
    this.path = path;
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      this.#fd = openSync(path, "a+", 0o600);
    } catch (cause) {
      throw full(cause);
    }
    const { size } = fstatSync(this.#fd);
    this.#end = size === 0 ? 0 : wholeLines(this.#fd);
    if (this.#end < size) ftruncateSync(this.#fd, this.#end);
    this.#syncer = syncer;
  }

  append(line: Line): Position {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
    const start = this.#end;
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd, bytes, done);
    } catch (cause) {
      ftruncateSync(this.#fd, start);
      throw full(cause);
    }
    this.#end = start + bytes.length;
    this.#syncer.touch(this.#fd);
    return { start, length: bytes.length };
  }

  read({ start, length }: Position): Line {
    const bytes = Buffer.alloc(length);
    readSync(this.#fd, bytes, 0, length, start);
    return JSON.parse(bytes.toString("utf8")) as Line; // our own line
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#syncer.forget(this.#fd);
    closeSync(this.#fd);
    this.#fd = -1;
  }
}

function full(cause: unknown): SandlotError {
  const message = "the state folder takes no more data: free room on its disk, then try again";
  return new SandlotError("busy", message, { knob: "state_dir", retryAfterMs: 5000, cause });
}

/** Syncs files that were written to, at most a second later, without anybody waiting for it. */
export class Syncer {
  #dirty = new Set<number>();
  #timer: NodeJS.Timeout | undefined;

  touch(fd: number): void {
    this.#dirty.add(fd);
    this.#timer ??= setTimeout(() => this.#sync(), 500);
    this.#timer.unref();
  }

  forget(fd: number): void {
    this.#dirty.delete(fd);
  }

  #sync(): void {
    this.#timer = undefined;
    const [fd] = this.#dirty;
    if (fd === undefined) return;
    this.#dirty.delete(fd);
    fdatasync(fd, () => this.#sync()); // one after the other; a closed file has nothing to lose
  }
}

/** All whole lines with their positions. A last line without its newline was never answered for and is left out. */
export function readLines(path: string): { line: Line; position: Position }[] {
  const bytes = readFileSync(path);
  const found: { line: Line; position: Position }[] = [];
  for (let start = 0, stop = bytes.indexOf(10); stop >= 0; start = stop + 1, stop = bytes.indexOf(10, start)) {
    const line = JSON.parse(bytes.toString("utf8", start, stop)) as Line; // our own line
    found.push({ line, position: { start, length: stop + 1 - start } });
  }
  return found;
}

/** The first and the last whole line, without reading what lies between when the file is large. */
export function readEnds(path: string): { first: Line; last: Line } | undefined {
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    const end = wholeLines(fd);
    if (end === 0) return undefined;
    const read = (start: number, length: number): string => {
      const bytes = Buffer.alloc(Math.min(length, size - start));
      readSync(fd, bytes, 0, bytes.length, start);
      return bytes.toString("utf8");
    };
    for (let window = 64 * 1024; ; window *= 4) {
      const head = read(0, window);
      const from = Math.max(0, end - window);
      const tail = read(from, end - from).slice(0, -1);
      const headEnd = head.indexOf("\n");
      const tailStart = tail.lastIndexOf("\n");
      if (headEnd < 0 || (tailStart < 0 && from > 0)) continue;
      return { first: JSON.parse(head.slice(0, headEnd)) as Line, last: JSON.parse(tail.slice(tailStart + 1)) as Line };
    }
  } finally {
    closeSync(fd);
  }
}

/** Bytes up to and with the last newline. */
function wholeLines(fd: number): number {
  const chunk = Buffer.alloc(64 * 1024);
  for (let end = fstatSync(fd).size; end > 0; ) {
    const start = Math.max(0, end - chunk.length);
    readSync(fd, chunk, 0, end - start, start);
    const newline = chunk.subarray(0, end - start).lastIndexOf(10);
    if (newline >= 0) return start + newline + 1;
    end = start;
  }
  return 0;
}
