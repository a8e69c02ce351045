import { closeSync, constants, openSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { basename, dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Dial, RunnerGone } from "./line.ts";

/** Dials the Unix socket at `path`, which may be longer than a socket address allows. A runner that was just started has `appearTimeoutMs` to bind it. */
export function socketDial(path: string, appearTimeoutMs = 0): Dial {
  let patienceMs = appearTimeoutMs;
  return async () => {
    const stream = await openSocket(path, patienceMs);
    patienceMs = 0;
    return { stream, tag: new Uint8Array() };
  };
}

/** Rejects with `RunnerGone` when nobody listens at `path`, after having looked again for `appearTimeoutMs`. */
async function openSocket(path: string, appearTimeoutMs: number): Promise<Socket> {
  const deadline = performance.now() + appearTimeoutMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(2 * pauseMs, 20)) {
    try {
      return await tryOpen(path);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      const retry = code === "EAGAIN" || performance.now() < deadline;
      if (!retry) throw new RunnerGone(`nobody listens at the runner's socket (${String(code)})`, { cause: error });
    }
    await sleep(pauseMs);
  }
}

/** A socket address has 108 bytes: a longer path is reached by way of an open folder, while connecting. */
function tryOpen(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const isLong = Buffer.byteLength(path) > 100;
    const folder = isLong ? openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY) : undefined;
    const socket = connect(folder === undefined ? path : `/proc/self/fd/${folder}/${basename(path)}`);
    const connected = () => settle();
    const settle = (error?: Error) => {
      if (folder !== undefined) closeSync(folder);
      socket.off("connect", connected).off("error", settle);
      if (error === undefined) resolve(socket);
      else reject(error);
    };
    socket.on("connect", connected).on("error", settle);
  });
}
