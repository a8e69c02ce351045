import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo, ListenOptions, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Fault, meetFault } from "./e2b/faults.ts";

/** Where something is that speaks HTTP. */
export type HttpPlace =
  | { readonly socketPath: string }
  | { readonly host: string; readonly port: number; readonly socketPath?: never };

export interface FaultyProxy extends AsyncDisposable {
  readonly port: number;
  /** What goes wrong with which of the next requests. */
  readonly faults: ProxyFault[];
  /** `METHOD /path` of each, in order. */
  readonly asked: string[];
}

/** Beside what may happen at a server itself. */
export interface ProxyFault extends Fault {
  /** So many milliseconds between the parts of an answer. */
  readonly crawlMs?: number;
}

/** Stands before something that speaks HTTP, connections that become byte streams included, and fails as it is told. */
export async function startProxy(listen: ListenOptions, to: HttpPlace): Promise<FaultyProxy> {
  const faults: ProxyFault[] = [];
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((incoming, response) => {
    asked.push(`${incoming.method} ${(incoming.url ?? "").split("?")[0]}`);
    pass(to, faults, incoming, response).catch(() => response.destroy());
  });
  server.on("upgrade", (incoming: IncomingMessage, socket: Socket, head: Buffer) => {
    asked.push(`${incoming.method} ${(incoming.url ?? "").split("?")[0]}`);
    upgraded(to, faults, incoming, { socket, head });
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((listening) => server.listen(listen, listening));
  const address = server.address() as AddressInfo | string;
  return {
    ...{ faults, asked },
    port: typeof address === "string" ? 0 : address.port,
    [Symbol.asyncDispose]: () =>
      new Promise((closed) => {
        server.close(() => closed());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

async function pass(
  to: HttpPlace,
  faults: readonly ProxyFault[],
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const crawlMs = crawlOf(faults, incoming);
  if (crawlMs === undefined && !(await meetFault(faults, incoming, response))) return;
  const { method = "GET", url = "/", headers } = incoming;
  const onward = request({ ...to, method, path: url, headers, agent: false });
  onward.on("error", () => response.destroy());
  response.once("close", () => onward.destroy());
  onward.on("response", (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    hand(answer, response, crawlMs).catch(() => response.destroy());
  });
  incoming.pipe(onward);
}

function crawlOf(faults: readonly ProxyFault[], { method, url }: IncomingMessage): number | undefined {
  const line = `${method} ${(url ?? "").split("?")[0]}`;
  const fault = faults.find(({ at, times, crawlMs }) => crawlMs !== undefined && times > 0 && at.test(line));
  if (fault !== undefined) fault.times -= 1;
  return fault?.crawlMs;
}

async function hand(answer: IncomingMessage, response: ServerResponse, crawlMs = 0): Promise<void> {
  for await (const chunk of answer) {
    for (let rest: Buffer = chunk; rest.length > 0; rest = rest.subarray(PART)) {
      if (response.destroyed) return;
      if (!response.write(rest.subarray(0, PART))) await roomIn(response);
      if (crawlMs > 0) await sleep(crawlMs);
    }
  }
  response.end();
}

const PART = 16_384;

function roomIn(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      response.off("drain", go).off("close", go);
      resolve();
    };
    response.on("drain", go).on("close", go);
  });
}

/** Faults of a connection that becomes a byte stream: an answer, silence, or its end before it begins. */
function upgraded(
  to: HttpPlace,
  faults: readonly ProxyFault[],
  { method, url, headers }: IncomingMessage,
  { socket, head }: { readonly socket: Socket; readonly head: Buffer },
): void {
  const line = `${method} ${(url ?? "").split("?")[0]}`;
  const fault = faults.find(({ at, times }) => times > 0 && at.test(line));
  if (fault !== undefined) {
    fault.times -= 1;
    if (fault.silent) return;
    if (fault.answer === undefined) return void socket.destroy();
    const { status, text, body } = fault.answer;
    const words = text ?? JSON.stringify(body ?? {});
    socket.end(
      `HTTP/1.1 ${status} Fault\r\ncontent-type: text/html\r\ncontent-length: ${Buffer.byteLength(words)}\r\nconnection: close\r\n\r\n${words}`,
    );
    return;
  }
  const onward = request({ ...to, method: method ?? "POST", path: url ?? "/", headers, agent: false });
  onward.on("error", () => socket.destroy());
  onward.on("upgrade", (answer, other, begun) => {
    const lines = Object.entries(answer.headers).map(([name, value]) => `${name}: ${String(value)}\r\n`);
    socket.write(`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\n${lines.join("")}\r\n`);
    if (begun.length > 0) socket.write(begun);
    if (head.length > 0) other.write(head);
    other.on("error", () => socket.destroy()).once("close", () => socket.destroy());
    socket.once("close", () => other.destroy());
    other.pipe(socket);
    socket.pipe(other);
  });
  onward.on("response", (answer) => {
    let words = "";
    answer.on("data", (part: Buffer) => {
      words += part.toString();
    });
    answer.on("end", () =>
      socket.end(
        `HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\ncontent-length: ${Buffer.byteLength(words)}\r\n\r\n${words}`,
      ),
    );
  });
  onward.end();
}
