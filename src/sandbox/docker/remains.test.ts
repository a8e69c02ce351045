import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Engine } from "./engine.ts";
import { Remains } from "./remains.ts";
import { WAITS } from "./waits.ts";

let place: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "sandlot-remains-"));
});
afterEach(() => rmSync(place, { recursive: true }));

/** An engine whose removals `status` answers. */
async function removing(status: (name: string) => Promise<number>) {
  const server = createServer(async ({ url = "" }, response) => {
    const code = await status(/^\/containers\/([^?]+)/.exec(url)?.[1] ?? "");
    response.writeHead(code, { "content-type": "application/json" }).end(code === 204 ? undefined : '{"message":"no"}');
  });
  const socket = join(place, "sock");
  await once(server.listen(socket), "listening");
  const engine = new Engine(socket, { ...WAITS, verbMs: 1_500, busyMs: 300, awayMs: 0 });
  const folder = (id: string): string => join(place, id);
  return {
    ...{ remains: new Remains(engine, folder), folder },
    async [Symbol.asyncDispose]() {
      engine.close();
      await new Promise((closed) => server.close(closed));
    },
  };
}

test("containers of an engine that removes one after the other are all removed, however much longer than one all take", async () => {
  let last: Promise<unknown> = Promise.resolve();
  const removed = new Set<string>();
  await using engine = await removing((name) => {
    const turn = last.then(() => sleep(40)).then(() => removed.add(name) && 204);
    last = turn;
    return turn;
  });
  const ids = Array.from({ length: 100 }, (_, at) => `container-${at}`);
  await Promise.all(ids.map((id) => engine.remains.remove(id)));
  expect(removed.size).toBe(100);
});

test("one that the engine does not remove is not taken for removed, and goes when it does", async () => {
  let status = 409;
  await using engine = await removing(async () => status);
  mkdirSync(engine.folder("one"));
  await expect(engine.remains.remove("one")).rejects.toMatchObject({ fault: "sandbox" });
  await engine.remains.sweep();
  expect(existsSync(engine.folder("one"))).toBe(true);
  status = 204;
  await engine.remains.sweep();
  expect(existsSync(engine.folder("one"))).toBe(false);
});
