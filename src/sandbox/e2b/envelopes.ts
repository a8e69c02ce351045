import { z } from "zod";

/** The frames of the Connect protocol's streams: a byte of flags, the size, JSON. */

const Bytes = z.string().transform((text) => Buffer.from(text, "base64"));
const Message = z.looseObject({
  error: z.looseObject({ code: z.string().optional(), message: z.string().optional() }).optional(),
  event: z
    .looseObject({
      start: z.looseObject({ pid: z.number() }).optional(),
      data: z.looseObject({ stdout: Bytes.optional(), stderr: Bytes.optional() }).optional(),
      end: z.looseObject({ exitCode: z.number().optional(), status: z.string().optional() }).optional(),
    })
    .optional(),
});
export type Message = z.infer<typeof Message>;

/** What is told of a process. */
export type Event =
  | { readonly type: "start"; readonly pid: number }
  | { readonly type: "stdout" | "stderr"; readonly data: Buffer }
  | { readonly type: "end"; readonly exitCode: number; readonly status: string };

/** Undefined for what only shows that the line stands. */
export function eventOf({ event }: Message): Event | undefined {
  if (event?.start !== undefined) return { type: "start", pid: event.start.pid };
  if (event?.data?.stdout !== undefined) return { type: "stdout", data: event.data.stdout };
  if (event?.data?.stderr !== undefined) return { type: "stderr", data: event.data.stderr };
  if (event?.end === undefined) return undefined;
  // Values that are their type's zero are left out.
  return { type: "end", exitCode: event.end.exitCode ?? 0, status: event.end.status ?? "" };
}

export function encodeEnvelope(message: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

const MAX_BYTES = 64 * 1_048_576;
const LAST = 2;

export class EnvelopeReader {
  #parts: Buffer[] = [];
  #size = 0;

  push(arrived: Buffer): { readonly last: boolean; readonly message: Message }[] {
    this.#parts.push(arrived);
    this.#size += arrived.length;
    const found: { last: boolean; message: Message }[] = [];
    for (let size = this.#wanted(); size !== undefined && this.#size >= size; size = this.#wanted()) {
      const all = Buffer.concat(this.#parts);
      this.#parts = [all.subarray(size)];
      this.#size -= size;
      const message = Message.parse(JSON.parse(all.toString("utf8", 5, size)));
      found.push({ last: ((all[0] ?? 0) & LAST) !== 0, message });
    }
    return found;
  }

  /** Of the next frame with its head; undefined as long as that is not here. */
  #wanted(): number | undefined {
    if (this.#size < 5) return undefined;
    if ((this.#parts[0]?.length ?? 0) < 5) this.#parts = [Buffer.concat(this.#parts)];
    const size = 5 + (this.#parts[0]?.readUInt32BE(1) ?? 0);
    if (size > MAX_BYTES) throw new Error(`a frame of ${size} bytes`);
    return size;
  }
}
