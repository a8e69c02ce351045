import http from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import type Docker from "dockerode";

/** What the client keeps of where its engine is; untyped there. */
interface Way {
  readonly protocol?: string;
  readonly host?: string;
  readonly port?: number;
  readonly socketPath?: string | (() => Promise<string>);
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** The engine's own word, with its status, as the client's errors are. */
class Refused extends Error {
  readonly statusCode: number;

  constructor(statusCode: number, words: string) {
    super(`(HTTP code ${statusCode}) ${words}`);
    this.statusCode = statusCode;
  }
}

/**
 * A POST without a body whose connection becomes a byte stream both ways. The client's own way sends its options as a body (which Podman hands to the container as input), or else an empty chunk.
 */
export async function upgrade(docker: Docker, path: string, signal: AbortSignal): Promise<Socket> {
  const { protocol, host, port, socketPath, ca, cert, key } = docker.modem as Way;
  const where = host
    ? { host, port }
    : { socketPath: typeof socketPath === "function" ? await socketPath() : socketPath };
  const headers = { connection: "Upgrade", upgrade: "tcp", "content-length": "0" };
  const options = { ...where, ...{ ca, cert, key, signal, headers }, method: "POST", path, agent: false } as const;
  return await new Promise((resolve, reject) => {
    const request = protocol === "https" ? https.request(options) : http.request(options);
    request.on("error", reject);
    request.on("upgrade", (_response, socket: Socket, head) => {
      if (head.length > 0) socket.unshift(head);
      socket.setNoDelay(true);
      resolve(socket);
    });
    request.on("response", (response) => {
      let words = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        words = (words + part).slice(0, 2_000);
      });
      response.on("end", () => reject(new Refused(response.statusCode ?? 500, words.trim())));
      response.on("error", reject);
    });
    request.end();
  });
}
