import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Engine } from "./engine.ts";
import { copyView } from "./view.ts";
import { WAITS } from "./waits.ts";

const FOLDER = Buffer.from(JSON.stringify({ mode: 2 ** 31 + 0o755 })).toString("base64");

test("a view that cannot be put lets go of the files that it is read from, which an engine keeps locked so long", async () => {
  const place = mkdtempSync(join(tmpdir(), "sandlot-view-"));
  const closed = Promise.withResolvers<string>();
  let puts = 0;
  const server = createServer((request, response) => {
    const viewed = request.url?.startsWith("/containers/of/");
    if (request.method === "HEAD") {
      response.writeHead(viewed ? 200 : 404, viewed ? { "x-docker-container-path-stat": FOLDER } : {});
      response.end();
    } else if (request.method === "GET") {
      response.writeHead(200, { "content-type": "application/x-tar" });
      response.write(Buffer.alloc(1_024)); // and more would come
      response.on("close", () => closed.resolve("closed"));
    } else {
      puts += 1;
      if (puts === 1) request.resume().on("end", () => response.writeHead(200).end());
      else response.writeHead(500, { "content-type": "application/json" }).end('{"message":"out of order"}');
    }
  });
  const socket = join(place, "sock");
  await once(server.listen(socket), "listening");
  const engine = new Engine(socket, WAITS);
  try {
    const [of, into] = [engine.docker.getContainer("of"), engine.docker.getContainer("in")];
    const viewing = {
      engine,
      of,
      in: into,
      at: "/view",
      within: "/testbed",
      maxBytes: 2 ** 30,
      remove: async () => {},
    };
    await expect(copyView(viewing)).rejects.toThrow("out of order");
    const late = new Promise((resolve) => setTimeout(resolve, 5_000, "still open"));
    expect(await Promise.race([closed.promise, late])).toBe("closed");
  } finally {
    engine.close();
    server.closeAllConnections();
    server.close();
    rmSync(place, { recursive: true, force: true });
  }
});
