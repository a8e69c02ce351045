import type { Socket } from "node:net";
import { Duplex } from "node:stream";

const HEAD = 8;

/**
 * The standard streams of a container, as an engine carries them over one connection: what it prints comes in frames of which the two streams are told apart; here they are one again. A reader
 * that does not keep up holds back the engine.
 */
export class Attached extends Duplex {
  readonly #socket: Socket;
  #head: Buffer = Buffer.alloc(0);
  /** Of the frame at hand. */
  #left = 0;

  constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.on("data", (arrived: Buffer) => {
      if (!this.#hear(arrived)) socket.pause();
    });
    socket.on("end", () => this.push(null));
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.destroy());
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(bytes, (error) => done(error ?? null));
  }

  override _writev(chunks: { readonly chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), "binary", done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  /** False when the reader has had enough for now. */
  #hear(arrived: Buffer): boolean {
    let more = true;
    for (let rest = arrived; rest.length > 0; ) {
      if (this.#left > 0) {
        const part = rest.subarray(0, this.#left);
        this.#left -= part.length;
        rest = rest.subarray(part.length);
        more = this.push(part);
        continue;
      }
      const wanted = HEAD - this.#head.length;
      this.#head = Buffer.concat([this.#head, rest.subarray(0, wanted)]);
      rest = rest.subarray(wanted);
      if (this.#head.length < HEAD) break;
      this.#left = this.#head.readUInt32BE(4);
      this.#head = Buffer.alloc(0);
    }
    return more;
  }
}
