import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { frame } from "./connect.ts";

/** What goes wrong with the next requests whose `METHOD path` matches. */
export interface Fault {
  /** Matched against `METHOD /path`, without a query. */
  readonly at: RegExp;
  /** How many requests it meets; each takes one off. */
  times: number;
  /** So many matching requests pass before the first. */
  after?: number;
  readonly delayMs?: number;
  /** This instead of an answer. */
  readonly answer?: {
    readonly status: number;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: unknown;
    /** In place of a body: as it is. */
    readonly text?: string;
  };
  /** No answer comes, and nothing is done. */
  readonly silent?: true;
  /** The answer begins and has no end: blanks, or, on a stream, signs of life. */
  readonly endless?: true;
  /** The connection ends: before the request is dealt with, or after, so that its answer is lost. */
  readonly cut?: "before" | "after";
  /** The connection ends after so many bytes of the answer's body. */
  readonly cutAfterBytes?: number;
}

/** Resolves to false when the request is dealt with already. */
export async function meetFault(
  faults: readonly Fault[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  const line = `${request.method} ${(request.url ?? "").split("?")[0]}`;
  const fault = faults.find(({ at, times }) => times > 0 && at.test(line));
  if (fault === undefined) return true;
  if ((fault.after ?? 0) > 0) {
    fault.after = (fault.after ?? 0) - 1;
    return true;
  }
  fault.times -= 1;
  if (fault.delayMs !== undefined) await sleep(fault.delayMs);
  if (fault.answer !== undefined) {
    const { status, headers, body, text } = fault.answer;
    request.resume();
    const type = text === undefined ? "application/json" : "text/html";
    response.writeHead(status, { "content-type": type, ...headers }).end(text ?? JSON.stringify(body ?? {}));
    return false;
  }
  if (fault.silent) {
    request.resume();
    return false;
  }
  if (fault.endless) {
    murmur(request, response);
    return false;
  }
  if (fault.cut === "before") {
    request.socket.destroy();
    return false;
  }
  if (fault.cut === "after") loseAnswer(response);
  if (fault.cutAfterBytes !== undefined) cutAfter(response, fault.cutAfterBytes);
  return true;
}

function murmur(request: IncomingMessage, response: ServerResponse): void {
  const type = request.headers["content-type"] ?? "application/json";
  const part = type === "application/connect+json" ? frame(0, { event: { keepalive: {} } }) : " ";
  request.resume();
  response.writeHead(200, { "content-type": type });
  const murmuring = setInterval(() => response.write(part), 100);
  response.once("close", () => clearInterval(murmuring));
}

function loseAnswer(response: ServerResponse): void {
  response.end = () => {
    response.destroy();
    return response;
  };
}

function cutAfter(response: ServerResponse, bytes: number): void {
  const write = response.write.bind(response);
  let left = bytes;
  response.write = (chunk: Uint8Array) => {
    left -= chunk.length;
    if (left > 0) return write(chunk);
    write(chunk.subarray(0, Math.max(0, chunk.length + left)), () => response.destroy());
    return false;
  };
}

/** Of both kinds that there are: too many requests in a time, and too many sandboxes at once. */
export const TOO_MANY = {
  requests: {
    status: 429,
    headers: { "retry-after": "1" },
    body: { code: 429, message: "Rate limit exceeded, please try again later." },
  },
  sandboxes: {
    status: 429,
    body: { code: 429, message: "you have reached the maximum number of concurrent E2B sandboxes" },
  },
} as const;
