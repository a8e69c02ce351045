import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { garbageOf } from "../runner/garbage.ts";
import { EnvelopeReader, type Event, encodeEnvelope, eventOf } from "./envelopes.ts";
import type { Waits } from "./waits.ts";

/** How the daemon inside a sandbox is reached. */
export interface EnvdPlace {
  /** What its paths are put behind. */
  readonly url: string;
  readonly sandboxId: string;
  readonly token: string | undefined;
  readonly waits: Waits;
}

/** A request that the daemon, or what stands before it, refused, or that did not reach it. */
export class EnvdError extends Error {
  override readonly name = "EnvdError";
  /** Of the answer; 0: there was none. */
  readonly status: number;
  /** The Connect protocol's word for it, or empty. */
  readonly code: string;

  constructor(status: number, code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.status = status;
    this.code = code;
  }
}

/** A process's life as it is told: ends after `end`, throws `EnvdError` when the telling is cut off. */
export interface Telling extends AsyncIterable<Event> {
  close(): void;
}

/**
 * The part of a sandbox's daemon that is needed here, as the user root: processes (Connect protocol, JSON) and whole files. Output comes as bytes, which the SDK's commands do not give.
 */
export class Envd {
  readonly waits: Waits;
  readonly #place: EnvdPlace;

  constructor(place: EnvdPlace) {
    this.#place = place;
    this.waits = place.waits;
  }

  /** Starts a process; the first event has its id. What it prints while nobody listens is lost. */
  start(argv: readonly [string, ...string[]], stdin: boolean): Promise<Telling> {
    const [cmd, ...args] = argv;
    return this.#tell("Start", { process: { cmd, args, envs: {}, cwd: "/" }, stdin });
  }

  /** Listens to a process that runs. `EnvdError` of code `not_found` when there is none. */
  connect(pid: number): Promise<Telling> {
    return this.#tell("Connect", { process: { pid } });
  }

  async sendInput(pid: number, data: Uint8Array): Promise<void> {
    await this.#unary("SendInput", { process: { pid }, input: { stdin: Buffer.from(data).toString("base64") } });
  }

  /** Creates or replaces a file; missing folders are made. */
  async upload(path: string, data: AsyncIterable<Uint8Array>): Promise<void> {
    const boundary = `sandlot${this.#place.sandboxId}${Date.now()}`;
    const name = path.slice(path.lastIndexOf("/") + 1);
    const request = this.#open("POST", `/files?${new URLSearchParams({ path, username: "root" })}`, this.waits.fileMs, {
      "content-type": `multipart/form-data; boundary=${boundary}`,
    });
    const answered = answerOf(request);
    let isAnswered = false;
    answered.then(
      () => {
        isAnswered = true;
        request.emit("drain"); // a refusal may come before all is sent: nobody takes the rest
      },
      () => undefined,
    );
    request.write(
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\nContent-Type: application/octet-stream\r\n\r\n`,
    );
    try {
      for await (const part of data) {
        if (isAnswered) break;
        await written(request, part);
      }
      if (!isAnswered) request.end(`\r\n--${boundary}--\r\n`);
      const response = await accepted(await answered, this.waits.callMs);
      if (!request.writableEnded) throw new EnvdError(0, "", "the sandbox's daemon took a file before it was whole");
      await told(response, this.waits.callMs);
    } catch (error) {
      request.destroy();
      throw error;
    }
  }

  /** Throws `EnvdError` when it is cut off, or, before its first byte, when it is a short one of another size: a page in its place. */
  async *download(path: string, bytes: number): AsyncGenerator<Uint8Array> {
    const request = this.#open("GET", `/files?${new URLSearchParams({ path, username: "root" })}`, this.waits.fileMs);
    request.end();
    const mostMs = this.waits.fileMs + bytes / LEAST_BYTES_PER_MS;
    const late = setTimeout(() => request.destroy(new Error(`it took more than ${mostMs} ms`)), mostMs);
    try {
      yield* whole(await accepted(await answerOf(request), this.waits.callMs), bytes);
    } catch (error) {
      if (error instanceof EnvdError) throw error;
      throw new EnvdError(0, "", "a file of the sandbox's daemon was cut off", error);
    } finally {
      clearTimeout(late);
      request.destroy();
    }
  }

  async #unary(method: string, message: unknown): Promise<void> {
    const request = this.#open("POST", `/process.Process/${method}`, this.waits.callMs, {
      "content-type": "application/json",
    });
    request.end(JSON.stringify(message));
    await told(await accepted(await answerOf(request), this.waits.callMs), this.waits.callMs);
  }

  async #tell(method: string, message: unknown): Promise<Telling> {
    const headers = {
      "content-type": "application/connect+json",
      "connect-protocol-version": "1",
      "keepalive-ping-interval": String(Math.ceil(this.waits.lineMs / 3_000)),
    };
    const request = this.#open("POST", `/process.Process/${method}`, this.waits.lineMs, headers);
    request.end(encodeEnvelope(message));
    const { callMs } = this.waits;
    const response = await accepted(await answerOf(request), callMs);
    return { close: () => void request.destroy(), [Symbol.asyncIterator]: () => events(response, request, callMs) };
  }

  #open(
    method: string,
    path: string,
    silenceMs: number,
    headers: Readonly<Record<string, string>> = {},
  ): ClientRequest {
    const { url, sandboxId, token } = this.#place;
    const secure = url.startsWith("https:");
    const request = (secure ? httpsRequest : httpRequest)(`${url.replace(/\/$/, "")}${path}`, {
      method,
      agent: secure ? HTTPS : HTTP,
      headers: {
        ...headers,
        "e2b-sandbox-id": sandboxId,
        "e2b-sandbox-port": "49983",
        authorization: `Basic ${Buffer.from("root:").toString("base64")}`,
        ...(token !== undefined && { "x-access-token": token }),
      },
    });
    request.setTimeout(silenceMs, () => request.destroy(new Error(`nothing came within ${silenceMs} ms`)));
    return request;
  }
}

const HTTP = new HttpAgent({ keepAlive: true });
const HTTPS = new HttpsAgent({ keepAlive: true });
const WORDS = 2_000;
/** The most characters of an answer that is no file and no stream. */
const ANSWER = 1_048_576;
const KEPT = 65_536;
/** A file that comes more slowly than a MiB in a second is given up. */
const LEAST_BYTES_PER_MS = 1_024;

function answerOf(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once("response", resolve);
    request.once("error", (error) => reject(new EnvdError(0, "", error.message, error)));
  });
}

/** The answer, unless it is a refusal. */
async function accepted(response: IncomingMessage, timeoutMs: number): Promise<IncomingMessage> {
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) return response;
  const { text } = await textOf(response, timeoutMs); // one that is cut off is a refusal all the same
  const code = /"code"\s*:\s*"(\w+)"/.exec(text)?.[1] ?? "";
  throw new EnvdError(status, code, `the sandbox's daemon answered ${status}: ${text.slice(0, WORDS)}`);
}

/** Reads an answer to its end. One that is no JSON is not the daemon's: nothing was done. */
async function told(response: IncomingMessage, timeoutMs: number): Promise<void> {
  const { text, cut } = await textOf(response, timeoutMs);
  if (cut !== undefined) throw new EnvdError(0, "", "the answer of the sandbox's daemon was cut off", cut);
  try {
    if (text !== "") JSON.parse(text);
  } catch (error) {
    throw new EnvdError(0, "", `the sandbox's daemon answered with something else: ${text.slice(0, WORDS)}`, error);
  }
}

/** What is said of an answer, and why it ended early if it did. What never ends, in time or in bytes, is cut off. */
async function textOf(
  response: IncomingMessage,
  timeoutMs: number,
): Promise<{ readonly text: string; readonly cut?: unknown }> {
  const late = setTimeout(() => response.destroy(new Error(`it took more than ${timeoutMs} ms`)), timeoutMs);
  let text = "";
  try {
    for await (const part of response) {
      text += String(part);
      if (text.length > ANSWER) throw new Error(`it has more than ${ANSWER} characters`);
    }
    return { text };
  } catch (cut) {
    return { text: text.slice(0, WORDS), cut };
  } finally {
    clearTimeout(late);
  }
}

/** Keeps the beginning back until it is known that it may be what is meant. */
async function* whole(response: IncomingMessage, bytes: number): AsyncGenerator<Uint8Array> {
  const kept: Buffer[] = [];
  let size = 0;
  for await (const part of response) {
    size += part.length;
    kept.push(part);
    if (size >= Math.min(bytes, KEPT)) yield* kept.splice(0);
  }
  if (kept.length > 0 || size === 0)
    throw new EnvdError(0, "", `expected a file of ${bytes} bytes, got one of ${size}`);
}

async function written(request: ClientRequest, part: Uint8Array): Promise<void> {
  if (request.destroyed) throw new EnvdError(0, "", "the connection to the sandbox's daemon was lost");
  if (request.write(part)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      request.off("drain", done).off("close", done);
      resolve();
    };
    request.on("drain", done).on("close", done);
  });
}

/** The first has to come in time: signs of life alone tell of no process. */
async function* events(response: IncomingMessage, request: ClientRequest, firstMs: number): AsyncGenerator<Event> {
  const reader = new EnvelopeReader();
  const late = setTimeout(() => response.destroy(new Error(`no process was told of within ${firstMs} ms`)), firstMs);
  try {
    for await (const arrived of response) {
      garbageOf(arrived.length); // its own; what becomes of it is told where frames are read
      for (const { last, message } of reader.push(arrived)) {
        const { error } = message;
        if (error) throw new EnvdError(200, error.code ?? "unknown", error.message ?? "it gave no reason");
        if (last) return;
        const event = eventOf(message);
        if (event === undefined) continue;
        clearTimeout(late);
        yield event;
      }
    }
    throw new EnvdError(0, "", "the line to the process was cut off");
  } catch (error) {
    if (error instanceof EnvdError) throw error;
    const words = error instanceof Error ? `: ${error.message}` : "";
    throw new EnvdError(0, "", `the line to the process was cut off${words}`, error);
  } finally {
    clearTimeout(late);
    request.destroy();
  }
}
