import { readFileSync } from "node:fs";
import { request as ask, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Exchange } from "./http.ts";
import type { Machine } from "./machine.ts";

export interface EnvdSettings {
  readonly accessToken: string | undefined;
  readonly envVars: Readonly<Record<string, string>>;
  readonly defaultUser: string;
  readonly defaultWorkdir: string | undefined;
}

/** E2B's own daemon in a machine, in place of ours: a program that was built from its source, which `SANDLOT_ENVD` names. It is reached by a socket file, since the machine has no network but its own. */
export class BuiltEnvd {
  readonly #socketPath: string;

  private constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  static async start(machine: Machine, program: string, settings: EnvdSettings): Promise<BuiltEnvd> {
    const put = ["/bin/sh", "-c", "cat > /usr/bin/envd && chmod 755 /usr/bin/envd"];
    const copied = await machine.run(put, { input: readFileSync(program) });
    if (copied.code !== 0) throw new Error(`envd could not be copied: ${copied.stderr}`);
    machine.begin(["/usr/bin/envd", "-isnotfc", "-no-cgroups"]);
    const socketPath = join(machine.folder, "envd.sock");
    machine.besides(["python3", "-c", RELAY, socketPath]);
    const envd = new BuiltEnvd(socketPath);
    await envd.#initialize(settings);
    return envd;
  }

  /** Passes a request on as it came, and its answer back as it comes. */
  forward({ request, response }: Exchange): Promise<void> {
    return new Promise((resolve) => {
      const { method, url, headers } = request;
      const onward = ask({ socketPath: this.#socketPath, method, path: url, headers, agent: false });
      onward.on("response", (answer: IncomingMessage) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
        answer.on("error", () => response.destroy());
      });
      onward.on("error", () => response.destroy());
      response.on("close", () => {
        onward.destroy();
        resolve();
      });
      request.pipe(onward);
    });
  }

  /** As the service does once a machine runs; without a time stamp, by which it would set this host's clock. */
  async #initialize(settings: EnvdSettings): Promise<void> {
    for (const end = performance.now() + 30_000; ; await sleep(20)) {
      const status = await this.#post("/init", JSON.stringify(settings)).catch(() => 0);
      if (status === 204) return;
      if (performance.now() > end) throw new Error(`envd does not begin: it answered ${status}`);
    }
  }

  #post(path: string, body: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
      const request = ask({ socketPath: this.#socketPath, method: "POST", path, headers, agent: false });
      request.on("response", (answer) => resolve(answer.resume().statusCode ?? 0));
      request.on("error", reject).end(body);
    });
  }
}

/** From a socket file to the daemon's port; both ways, and each way's end by itself. */
const RELAY = `
import asyncio, sys

async def carry(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()

async def relay(reader, writer):
    try:
        onward = await asyncio.open_connection("127.0.0.1", 49983)
    except OSError:
        writer.close()
        return
    back = asyncio.create_task(carry(onward[0], writer))
    await carry(reader, onward[1])
    await back
    onward[1].close()
    writer.close()

async def main():
    server = await asyncio.start_unix_server(relay, sys.argv[1], backlog=512)
    await server.serve_forever()

asyncio.run(main())
`;
