import { z } from "zod";
import { Backlog } from "../backlog.ts";

/** The frames of the Connect protocol's streams: a byte of flags, the size, JSON. */

/** As the JSON of protocol buffers is read: what is null is not there, numbers may be texts, and a field may have the name that it has in the protocol's own file. */
const Bytes = z.string().transform((text) => Buffer.from(text, "base64"));
const Whole = z.union([
  z.number(),
  z
    .string()
    .regex(/^-?\d+$/)
    .transform(Number),
]);
const End = z.looseObject({
  exitCode: Whole.nullish(),
  exit_code: Whole.nullish(),
  status: z.string().nullish(),
});
const Message = z.looseObject({
  error: z.looseObject({ code: z.string().nullish(), message: z.string().nullish() }).nullish(),
  event: z
    .looseObject({
      start: z.looseObject({ pid: Whole }).nullish(),
      data: z.looseObject({ stdout: Bytes.nullish(), stderr: Bytes.nullish() }).nullish(),
      end: End.nullish(),
    })
    .nullish(),
});
export type Message = z.infer<typeof Message>;

/** What is told of a process. */
export type Event =
  | { readonly type: "start"; readonly pid: number }
  | { readonly type: "stdout" | "stderr"; readonly data: Buffer }
  | { readonly type: "end"; readonly exitCode: number; readonly status: string };

/** Undefined for what only shows that the line stands. */
export function eventOf({ event }: Message): Event | undefined {
  if (event?.start) return { type: "start", pid: event.start.pid };
  if (event?.data?.stdout) return { type: "stdout", data: event.data.stdout };
  if (event?.data?.stderr) return { type: "stderr", data: event.data.stderr };
  if (!event?.end) return undefined;
  const { exitCode, exit_code, status } = event.end;
  // Values that are their type's zero are left out; who was ended by a signal has no code.
  const none = /^signal/.test(status ?? "") ? -1 : 0;
  return { type: "end", exitCode: exitCode ?? exit_code ?? none, status: status ?? "" };
}

export function encodeEnvelope(message: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

const BEFORE = /^\s*\{\s*"event"\s*:\s*\{\s*"data"\s*:\s*\{\s*"(stdout|stderr)"\s*:\s*"/;
const AFTER = /^"\s*\}\s*\}\s*\}\s*$/;
const AROUND_BYTES = 128;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** A message that is nothing but output, as most are, without its text being made a string twice. Undefined: it is another, or is spelled otherwise. */
function outputIn(frame: Buffer): Message | undefined {
  const before = BEFORE.exec(frame.toString("latin1", 5, 5 + AROUND_BYTES));
  const name = before?.[1];
  if (before === null || name === undefined) return undefined;
  const from = 5 + before[0].length;
  const end = frame.indexOf(QUOTE, from);
  if (end < 0 || frame.length - end > AROUND_BYTES || !AFTER.test(frame.toString("latin1", end))) return undefined;
  if (frame.subarray(from, end).includes(BACKSLASH)) return undefined;
  return { event: { data: { [name]: Buffer.from(frame.toString("latin1", from, end), "base64") } } };
}

const MAX_BYTES = 64 * 1_048_576;
const LAST = 2;

export class EnvelopeReader {
  readonly #backlog = new Backlog();

  push(arrived: Buffer): { readonly last: boolean; readonly message: Message }[] {
    this.#backlog.push(arrived);
    const found: { last: boolean; message: Message }[] = [];
    for (let size = this.#size(); size !== undefined; size = this.#size()) {
      const frame = this.#backlog.take(5 + size);
      if (frame === undefined) break;
      const last = ((frame[0] ?? 0) & LAST) !== 0;
      found.push({ last, message: outputIn(frame) ?? Message.parse(JSON.parse(frame.toString("utf8", 5))) });
    }
    return found;
  }

  #size(): number | undefined {
    const size = this.#backlog.peek(5)?.readUInt32BE(1);
    if (size !== undefined && size > MAX_BYTES) throw new Error(`a frame of ${size} bytes`);
    return size;
  }
}
