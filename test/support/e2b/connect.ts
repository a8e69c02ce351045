import type { ServerResponse } from "node:http";
import type { Exchange } from "./http.ts";
import { Refusal, readBody, readJson } from "./http.ts";

/** The Connect protocol with its JSON codec, as far as envd is spoken to in it. */

const STATUS = {
  canceled: 499,
  invalid_argument: 400,
  deadline_exceeded: 504,
  not_found: 404,
  already_exists: 409,
  unauthenticated: 401,
  resource_exhausted: 429,
  unimplemented: 501,
  internal: 500,
  unavailable: 503,
} as const;
export type Code = keyof typeof STATUS;

export class ConnectError extends Error {
  override readonly name = "ConnectError";
  readonly code: Code;

  constructor(code: Code, message: string) {
    super(message);
    this.code = code;
  }
}

export type Unary = (message: Record<string, unknown>, exchange: Exchange) => Promise<unknown>;
export type Streaming = (message: Record<string, unknown>, exchange: Exchange, stream: ServerStream) => Promise<void>;

export async function answerUnary(exchange: Exchange, handler: Unary): Promise<void> {
  const { request, response } = exchange;
  try {
    const answer = await handler(await readJson(request), exchange);
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
  } catch (error) {
    const { code, message } = asConnect(error);
    response.writeHead(STATUS[code], { "content-type": "application/json" }).end(JSON.stringify({ code, message }));
  }
}

/** What fails is told in the last frame; the status of the answer is 200 all the same. */
export async function answerStream(exchange: Exchange, handler: Streaming): Promise<void> {
  const { request, response } = exchange;
  const stream = new ServerStream(response);
  try {
    const body = await readBody(request);
    if (body.length < 5) throw new ConnectError("invalid_argument", "expected a message in a frame");
    const message: unknown = JSON.parse(body.toString("utf8", 5, 5 + body.readUInt32BE(1)));
    if (typeof message !== "object" || message === null)
      throw new ConnectError("invalid_argument", "expected an object");
    await handler({ ...message }, exchange, stream);
    stream.end();
  } catch (error) {
    stream.end(asConnect(error));
  }
}

export class ServerStream {
  readonly #response: ServerResponse;
  #begun = false;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  get closed(): boolean {
    return this.#response.destroyed || this.#response.writableEnded;
  }

  /** Resolves when the reader has room for more, or is gone. */
  async send(message: unknown): Promise<void> {
    if (this.closed) return;
    this.#begin();
    if (this.#response.write(frame(0, message))) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#response.off("drain", done).off("close", done);
        resolve();
      };
      this.#response.on("drain", done).on("close", done);
    });
  }

  onClose(hear: () => void): void {
    this.#response.once("close", hear);
  }

  end(error?: { readonly code: Code; readonly message: string }): void {
    if (this.closed) return;
    this.#begin();
    const last = error === undefined ? {} : { error: { code: error.code, message: error.message } };
    this.#response.write(frame(2, last));
    this.#response.end();
  }

  #begin(): void {
    if (!this.#begun) this.#response.writeHead(200, { "content-type": "application/connect+json" }).flushHeaders();
    this.#begun = true;
  }
}

export function frame(flags: number, message: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(5);
  head.writeUInt8(flags, 0);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

function asConnect(error: unknown): { readonly code: Code; readonly message: string } {
  if (error instanceof ConnectError) return error;
  if (error instanceof Refusal) return { code: "internal", message: error.message };
  if (error instanceof SyntaxError) return { code: "invalid_argument", message: error.message };
  throw error;
}
