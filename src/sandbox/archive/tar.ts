/** What a header says of one member of a tar archive. */
export interface TarEntry {
  /** Without leading `./` and `/` and trailing `/`; bytes that are no UTF-8 are replaced. */
  readonly path: string;
  /** As the format spells it: `0` file, `1` hard link, `2` link, `3` and `4` devices, `5` folder, `6` FIFO. */
  readonly type: string;
  readonly isWhiteout: boolean;
  /** Extended attributes by name, as text. */
  readonly attributes: ReadonlyMap<string, string>;
}

/** The attributes by which overlayfs says that a folder hides, or was renamed from, what lies below it. */
export const OPAQUE = "trusted.overlay.opaque";
export const REDIRECT = "trusted.overlay.redirect";

const BLOCK = 512;

/** What headers said of the member that comes next. */
interface Next {
  path?: string;
  size?: number;
  attributes: Map<string, string>;
  /** The extended header as it came. */
  records?: Uint8Array;
}
/** Headers that speak of the member that follows them, or (`g`) of all. */
const ABOUT_NEXT = "xLKg";

/** Passes on, whole and in order, the members that `choose` keeps, with the extended records that it answers instead of `true`. Without the end mark of an archive. */
export async function* filterTar(
  source: AsyncIterable<Uint8Array>,
  choose: (entry: TarEntry) => boolean | Readonly<Record<string, string>>,
): AsyncGenerator<Uint8Array> {
  const blocks = new Blocks(source);
  let about: Uint8Array[] = [];
  let next: Next = { attributes: new Map() };
  for (;;) {
    const header = await blocks.take(BLOCK);
    if (header === undefined || header.every((byte) => byte === 0)) break;
    const type = String.fromCharCode(header[156] || 0x30);
    const size = next.size ?? numberAt(header, 124, 12);
    const padded = Math.ceil(size / BLOCK) * BLOCK;
    if (ABOUT_NEXT.includes(type)) {
      const body = await blocks.must(padded);
      if (type === "x") next = { ...next, ...readPax(body.subarray(0, size)), records: body.subarray(0, size) };
      if (type === "L") next.path = text(body.subarray(0, size)).replace(/\0.*$/s, "");
      if (type === "L" || type === "K") about.push(header, body);
      continue;
    }
    const hasBody = !"123456".includes(type);
    const chosen = choose(entryOf(header, type, next));
    if (chosen !== false) {
      yield* about;
      if (next.records !== undefined || chosen !== true) yield paxOf(chosen === true ? {} : chosen, next.records);
      yield header;
    }
    for (let left = hasBody ? padded : 0; left > 0; ) {
      const part = await blocks.some(left);
      left -= part.length;
      if (chosen !== false) yield part;
    }
    about = [];
    next = { attributes: new Map() };
  }
  await blocks.drain();
}

/** A device of number 0:0, which is how an overlay says that something is gone. */
export function whiteoutOf(path: string): Uint8Array {
  const header = Buffer.alloc(BLOCK);
  header.write("gone", 0);
  for (const at of [100, 108, 116, 329, 337]) header.write("0000000\0", at, "latin1");
  for (const at of [124, 136]) header.write("00000000000\0", at, "latin1");
  header.write("3", 156, "latin1");
  return Buffer.concat([paxOf({ path }), finished(header)]);
}

/** A folder that is there already, with more records: what it is stays as `is` says. */
export function folderOf(
  path: string,
  is: { readonly mode: number; readonly uid: number; readonly gid: number; readonly mtimeMs: number },
  records: Readonly<Record<string, string>>,
): Uint8Array {
  const header = Buffer.alloc(BLOCK);
  const number = (value: number, at: number, digits: number): void => {
    header.write(`${value.toString(8).padStart(digits, "0")}\0`, at, "latin1");
  };
  header.write("folder", 0);
  number(is.mode & 0o7777, 100, 7);
  for (const at of [108, 116, 329, 337]) number(0, at, 7);
  for (const at of [124, 136]) number(0, at, 11);
  header.write("5", 156, "latin1");
  const own = { path, uid: `${is.uid}`, gid: `${is.gid}`, mtime: `${is.mtimeMs / 1000}` };
  return Buffer.concat([paxOf({ ...own, ...records }), finished(header)]);
}

/** A header that gives the member after it an extended attribute, or another name. */
export function paxOf(records: Readonly<Record<string, string>>, before: Uint8Array = new Uint8Array()): Uint8Array {
  const body = Buffer.concat([before, ...Object.entries(records).map(([key, value]) => recordOf(key, value))]);
  const header = Buffer.alloc(BLOCK);
  header.write("PaxHeader", 0, "latin1");
  for (const at of [100, 108, 116, 329, 337]) header.write("0000644\0", at, "latin1");
  header.write(`${body.length.toString(8).padStart(11, "0")}\0`, 124, "latin1");
  header.write("00000000000\0", 136, "latin1");
  header.write("x", 156, "latin1");
  return Buffer.concat([finished(header), body, Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK)]);
}

/** Two empty blocks. */
export const TAR_END: Uint8Array = new Uint8Array(2 * BLOCK);

function finished(header: Buffer): Buffer {
  header.write("ustar\0", 257, "latin1");
  header.write("00", 263, "latin1");
  header.fill(" ", 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return header;
}

/** `LENGTH KEY=VALUE\n`, where the length counts itself. */
function recordOf(key: string, value: string): Buffer {
  const rest = Buffer.from(` ${key}=${value}\n`);
  let length = rest.length;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

const ATTRIBUTE = "SCHILY.xattr.";

function readPax(body: Uint8Array): Next {
  const found: Next = { attributes: new Map() };
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at);
    const length = Number(text(body.subarray(at, space)));
    if (space < 0 || !(length > 0)) throw new Error("a tar archive with a broken extended header");
    const record = text(body.subarray(space + 1, at + length - 1));
    const equals = record.indexOf("=");
    const [key, value] = [record.slice(0, equals), record.slice(equals + 1)];
    if (key === "path") found.path = value;
    else if (key === "size") found.size = Number(value);
    else if (key.startsWith(ATTRIBUTE)) found.attributes.set(key.slice(ATTRIBUTE.length), value);
    at += length;
  }
  return found;
}

function entryOf(header: Uint8Array, type: string, next: Next): TarEntry {
  const field = (at: number, size: number) => text(header.subarray(at, at + size)).replace(/\0.*$/s, "");
  const prefix = field(257, 5) === "ustar" && field(257, 8) !== "ustar  " ? field(345, 155) : "";
  const path = next.path ?? (prefix === "" ? field(0, 100) : `${prefix}/${field(0, 100)}`);
  const isWhiteout = type === "3" && numberAt(header, 329, 8) === 0 && numberAt(header, 337, 8) === 0;
  return { path: plainPath(path), type, isWhiteout, attributes: next.attributes };
}

/** Bytes that are no UTF-8 count as one mark, however many they are: programs replace them one by one or together. */
export function plainPath(path: string): string {
  return path
    .replace(/\uFFFD+/g, "\uFFFD")
    .replace(/^(?:\.?\/)+/, "")
    .replace(/\/+$/, "")
    .replace(/^\.$/, "");
}

/** Octal digits, or (first bit set) a number of many bytes. */
function numberAt(header: Uint8Array, at: number, size: number): number {
  const bytes = header.subarray(at, at + size);
  if (((bytes[0] ?? 0) & 0x80) === 0) return Number.parseInt(text(bytes).replace(/[^0-7].*$/s, "") || "0", 8);
  return bytes.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8");
}

class Blocks {
  readonly #source: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Undefined at the end of the source. */
  async take(size: number): Promise<Uint8Array | undefined> {
    const parts: Uint8Array[] = [];
    for (let left = size; left > 0; ) {
      if (this.#rest.length === 0 && !(await this.#fill())) {
        if (parts.length === 0) return undefined;
        throw new Error("a tar archive ends in the middle of a member");
      }
      const part = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(part.length);
      parts.push(part);
      left -= part.length;
    }
    return Buffer.concat(parts);
  }

  async must(size: number): Promise<Uint8Array> {
    if (size > 16 * 1_048_576) throw new Error("a tar archive with a header of more than 16 MiB");
    const taken = size === 0 ? new Uint8Array() : await this.take(size);
    if (taken === undefined) throw new Error("a tar archive ends after a header");
    return taken;
  }

  /** What there is, at most so much, at least a byte. */
  async some(most: number): Promise<Uint8Array> {
    if (this.#rest.length === 0 && !(await this.#fill())) throw new Error("a tar archive ends in the middle of a file");
    const part = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(part.length);
    return part;
  }

  async drain(): Promise<void> {
    while (!(await this.#source.next()).done);
  }

  async #fill(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.#source.next();
      if (done) return false;
      if (value.length === 0) continue;
      this.#rest = value;
      return true;
    }
  }
}
