import { SandlotError } from "../../errors.ts";
import { Backlog } from "../backlog.ts";

/** The wire of runner/README.md. All numbers are little-endian. */
export const Op = {
  hello: 1,
  start: 2,
  read: 3,
  write: 4,
  data: 5,
  detach: 6,
  interrupt: 7,
  acknowledge: 8,
  shutdown: 9,
  helloReply: 0x81,
  output: 0x82,
  done: 0x83,
} as const;

export const Flag = { live: 1, captureState: 2, repeat: 4, ahead: 8 } as const;

/** The runner closes a connection that sends a larger frame. */
export const maxRequestBytes = 4 * 1024 * 1024;
const maxReplyBytes = 16 * 1024 * 1024;
const dataBytes = 256 * 1024;

export interface Frame {
  readonly op: number;
  readonly id: string;
  readonly body: Buffer;
}

/** What came over the socket is no frame of this protocol. */
export class MalformedFrame extends Error {
  override readonly name = "MalformedFrame";
}

export function encodeFrame(op: number, id: string, body: Uint8Array = new Uint8Array()): Buffer {
  if (!/^[A-Za-z0-9._-]{0,64}$/.test(id)) {
    throw new SandlotError(
      "invalid",
      `a call id has 1 to 64 of A-Z a-z 0-9 . _ -, got ${JSON.stringify(id.slice(0, 80))}`,
    );
  }
  const frame = Buffer.allocUnsafe(6 + id.length + body.length);
  frame.writeUInt32LE(2 + id.length + body.length, 0);
  frame[4] = op;
  frame[5] = id.length;
  frame.write(id, 6, "latin1");
  frame.set(body, 6 + id.length);
  return frame;
}

export interface Request {
  readonly flags?: number;
  readonly timeoutMs?: number;
  readonly noOutputTimeoutMs?: number;
  readonly keepBytes?: number;
  readonly spillBytes?: number;
  readonly fromOffset?: number;
  /** START: how many words of argv; READ: the offset in the file; WRITE: the mode. */
  readonly a?: number;
  /** READ: at most so many bytes. */
  readonly b?: number;
  readonly words: readonly string[];
}

export function encodeRequest(op: number, id: string, request: Request): Buffer {
  const nul = request.words.find((word) => word.includes("\0"));
  if (nul !== undefined) {
    throw new SandlotError(
      "invalid",
      `no argument, variable or path may hold a NUL byte, got ${JSON.stringify(nul.slice(0, 80))}`,
    );
  }
  const head = Buffer.alloc(48);
  const small = [request.flags, request.timeoutMs, request.noOutputTimeoutMs, request.keepBytes, request.spillBytes];
  for (const [i, value] of small.entries()) head.writeUInt32LE(Math.min(Math.ceil(value ?? 0), 0xffffffff), 4 * i);
  for (const [i, value] of [request.fromOffset, request.a, request.b].entries()) {
    head.writeBigUInt64LE(BigInt(value ?? 0), 24 + 8 * i);
  }
  const text = Buffer.from(request.words.map((word) => `${word}\0`).join(""));
  if (head.length + text.length + 66 > maxRequestBytes) {
    throw new SandlotError(
      "invalid",
      `a command and its environment have at most 4 MiB, got ${text.length} bytes; pass it as a file`,
    );
  }
  return encodeFrame(op, id, Buffer.concat([head, text]));
}

/** The frames that lay `data` ready as standard input of the START, or content of the WRITE, that follows. */
export function encodeData(data: Uint8Array): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < data.length; at += dataBytes) {
    frames.push(encodeFrame(Op.data, "", data.subarray(at, at + dataBytes)));
  }
  return frames;
}

/** Cuts what arrives into frames. */
export class FrameReader {
  readonly #backlog = new Backlog();

  /** Throws `MalformedFrame`; the reader is of no use afterwards. */
  push(arrived: Buffer): Frame[] {
    this.#backlog.push(arrived);
    const frames: Frame[] = [];
    for (let size = this.#size(); size !== undefined; size = this.#size()) {
      const frame = this.#backlog.take(4 + size);
      if (frame === undefined) break;
      frames.push(decodeFrame(frame.subarray(4)));
    }
    return frames;
  }

  #size(): number | undefined {
    const size = this.#backlog.peek(4)?.readUInt32LE(0);
    if (size !== undefined && (size < 2 || size > maxReplyBytes)) throw new MalformedFrame(`a frame of ${size} bytes`);
    return size;
  }
}

export interface HelloReply {
  readonly version: number;
  readonly instance: string;
  readonly calls: readonly { readonly id: string; readonly running: boolean; readonly outputBytes: number }[];
}

export function decodeHello(body: Buffer): HelloReply {
  return decode(body, () => {
    const calls: { id: string; running: boolean; outputBytes: number }[] = [];
    let at = 16;
    for (let left = body.readUInt32LE(12); left > 0; left--) {
      const end = at + 1 + body.readUInt8(at);
      const id = body.toString("latin1", at + 1, end);
      calls.push({ id, running: body.readUInt8(end) === 0, outputBytes: Number(body.readBigUInt64LE(end + 1)) });
      at = end + 9;
    }
    return { version: body.readUInt32LE(0), instance: body.toString("hex", 4, 12), calls };
  });
}

export interface OutputFrame {
  readonly offset: number;
  readonly stream: "stdout" | "stderr";
  readonly data: Uint8Array;
}

export function decodeOutput(body: Buffer): OutputFrame {
  return decode(body, () => ({
    offset: Number(body.readBigUInt64LE(0)),
    stream: body.readUInt8(8) === 0 ? "stdout" : "stderr",
    data: body.subarray(9),
  }));
}

export interface DoneFrame {
  readonly exitCode?: number;
  readonly signal?: number;
  readonly timedOut: false | "command" | "no_output";
  readonly interrupted: boolean;
  readonly keepBytes: number;
  readonly outputBytes: number;
  /** The kept output was dropped to make room before anybody fetched it. */
  readonly lost: boolean;
  readonly durationMs: number;
  /** READ: the size of the file. */
  readonly value: number;
  readonly spillPath?: string;
  readonly note?: string;
  readonly state?: Uint8Array;
}

export function decodeDone(body: Buffer): DoneFrame {
  return decode(body, () => {
    const [why, pathEnd] = [body.readUInt8(9), 48 + body.readUInt32LE(12)];
    const noteEnd = pathEnd + body.readUInt32LE(16);
    const stateEnd = noteEnd + body.readUInt32LE(20);
    if (stateEnd !== body.length)
      throw new MalformedFrame(`a result of ${body.length} bytes that announces ${stateEnd}`);
    return {
      ...(body.readUInt8(8) === 0 ? { exitCode: body.readUInt32LE(4) } : { signal: body.readUInt32LE(4) }),
      timedOut: why === 1 ? "command" : why === 2 ? "no_output" : false,
      interrupted: why === 3,
      keepBytes: body.readUInt32LE(0),
      outputBytes: Number(body.readBigUInt64LE(24)),
      lost: body.readUInt8(11) !== 0,
      durationMs: Number(body.readBigUInt64LE(32)) / 1000,
      value: Number(body.readBigUInt64LE(40)),
      ...(pathEnd > 48 ? { spillPath: body.toString("utf8", 48, pathEnd) } : {}),
      ...(noteEnd > pathEnd ? { note: body.toString("utf8", pathEnd, noteEnd) } : {}),
      ...(body.readUInt8(10) !== 0 ? { state: Uint8Array.from(body.subarray(noteEnd, stateEnd)) } : {}),
    };
  });
}

function decodeFrame(frame: Buffer): Frame {
  const [op, idBytes] = [frame.readUInt8(0), frame.readUInt8(1)];
  if (idBytes > 64 || 2 + idBytes > frame.length) throw new MalformedFrame(`an id of ${idBytes} bytes`);
  return { op, id: frame.toString("latin1", 2, 2 + idBytes), body: frame.subarray(2 + idBytes) };
}

function decode<T>(body: Buffer, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError)
      throw new MalformedFrame(`a body of ${body.length} bytes is too short`, { cause: error });
    throw error;
  }
}
