import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WAITS } from "../../src/sandbox/docker/waits.ts";
import type { Backend } from "../../src/sandbox/sandbox.ts";
import { bash, newPlace, specIn } from "../support/backends.ts";
import { startDockerd, type TestEngine } from "../support/engine.ts";
import { askEngine } from "../support/engine-api.ts";
import { leaveOut } from "../support/required.ts";

const started = await startDockerd({ liveRestore: false }).catch((error: Error) => error.message);
if (typeof started === "string") leaveOut("images of Docker's engine", "docker", started);

describe.skipIf(typeof started === "string")("Docker's engine", () => {
  const engine = started as TestEngine; // skipped otherwise
  const place = newPlace({
    name: "docker",
    options: { type: "docker", socket: engine.socket, runtime: "", host_image: "", pull: "missing", waits: WAITS },
  });
  const watch = { signal: new AbortController().signal, report: () => undefined };
  let backend: Backend;

  beforeAll(async () => {
    backend = await place.open();
    await importImage(engine, "acme/tool:1", [
      "ENV GREETING=hello",
      "WORKDIR /work",
      "USER 1000:1000",
      'ENTRYPOINT ["/none"]',
    ]);
  });

  afterAll(async () => {
    await backend?.close();
    await place[Symbol.asyncDispose]();
    await engine[Symbol.asyncDispose]();
  });

  async function resolve(ref: string) {
    if (backend.images === undefined) throw new Error("a backend with images was expected");
    return await backend.images.resolve(ref, watch);
  }

  function layerWith(name: string): string {
    const folder = mkdtempSync(join(place.stateDir, `${name}-`));
    chmodSync(folder, 0o755);
    writeFileSync(join(folder, name), `${name}\n`);
    return folder;
  }

  async function imagesOfLayers(): Promise<number> {
    const filters = encodeURIComponent(JSON.stringify({ label: [`sandlot.instance=${place.instance}`] }));
    return ((await askEngine(engine.socket, "GET", `/images/json?filters=${filters}`)) as unknown[]).length;
  }

  it("has an image with its digest, variables, folder and user, and sandboxes of it", async () => {
    const image = await resolve("acme/tool:1");
    expect(image).toMatchObject({ env: { GREETING: "hello" }, workdir: "/work", user: "1000:1000" });
    const rootfs = { type: "image", ref: "acme/tool:1", digest: image.digest } as const;
    const { env, workdir, user } = image;
    const spec = specIn(place, { rootfs, layers: [], workdir, user, env: { ...env, PATH: "/bin" } });
    const sandbox = await backend.create(spec);
    try {
      const result = await sandbox.exec(["/bin/sh", "-c", "echo $GREETING; pwd; id -u; cat /etc/name"], {
        callId: "a",
        timeoutMs: 60_000,
      });
      expect(Buffer.concat(result.output.map(({ data }) => data)).toString()).toBe("hello\n/work\n1000\nacme\n");
      expect(await sandbox.writeFile("/work/own", Buffer.from("x"), { callId: "w" })).toEqual({});
    } finally {
      await sandbox.dispose();
    }
  });

  it("says whose fault it is that an image is not there", async () => {
    await using registry = await answering(404, {
      errors: [{ code: "MANIFEST_UNKNOWN", message: "manifest unknown" }],
    });
    await expect(resolve(`${registry.address}/acme/none:1`)).rejects.toMatchObject({ fault: "task" });
    await using broken = await answering(500, { errors: [{ code: "UNKNOWN", message: "out of order" }] });
    await expect(resolve(`${broken.address}/acme/none:1`)).rejects.toMatchObject({ fault: "sandbox" });
    await expect(resolve("127.0.0.1:1/acme/none:1")).rejects.toMatchObject({ fault: "sandbox" });
  });

  it("says that it is the task's fault when an image has not the user that it names, and when no image can have the name", async () => {
    for (const user of ["nobody-here", "1000:nobody-here", "4294967295"]) {
      const { digest } = await resolve("acme/tool:1");
      const rootfs = { type: "image", ref: "acme/tool:1", digest } as const;
      const create = backend.create(specIn(place, { rootfs, layers: [], workdir: "/", user }));
      await expect(create).rejects.toMatchObject({ fault: "task", facts: { field: "user" } });
    }
    await expect(resolve("127.0.0.1:1/Acme/Tool:1")).rejects.toMatchObject({ fault: "task" });
  });

  it("keeps and measures what is written where an image declares a volume", async () => {
    await importImage(engine, "acme/volume:1", ["VOLUME /work", "VOLUME /etc"]);
    const { digest } = await resolve("acme/volume:1");
    const rootfs = { type: "image", ref: "acme/volume:1", digest } as const;
    const parts = { rootfs, layers: [], workdir: "/work", env: { PATH: "/bin" } };
    const target = join(place.stateDir, "of-volume");
    await backend.buildLayer(specIn(place, parts), target, async (sandbox) => {
      await sandbox.exec(["sh", "-c", "echo kept > kept; echo other > /etc/name"], { callId: "a", timeoutMs: 60_000 });
    });
    expect(readFileSync(join(target, "work/kept"), "utf8")).toBe("kept\n");
    expect(readFileSync(join(target, "etc/name"), "utf8")).toBe("other\n");
    const limits = { memoryMiB: 256, cpuMilli: 2_000, pids: 64, diskMiB: 16 };
    const sandbox = await backend.create(specIn(place, { ...parts, layers: [target], limits }));
    try {
      const script = "cat kept /etc/name; while :; do cat /bin/sh /bin/sh /bin/sh /bin/sh; done > filler";
      const { signal, output } = await sandbox.exec(["sh", "-c", script], { callId: "b", timeoutMs: 60_000 });
      expect(Buffer.concat(output.map(({ data }) => data)).toString()).toBe("kept\nother\n");
      expect(signal).toBe(9);
    } finally {
      await sandbox.dispose();
    }
  });

  it("keeps an empty layer of work that changed nothing", async () => {
    const { digest } = await resolve("acme/tool:1");
    const rootfs = { type: "image", ref: "acme/tool:1", digest } as const;
    const target = join(place.stateDir, "of-nothing");
    await backend.buildLayer(specIn(place, { rootfs, layers: [], workdir: "/" }), target, async () => undefined);
    expect(readdirSync(target)).toEqual([]);
  });

  it("makes the image of an environment once for 16 sandboxes, and again when somebody pruned it", async () => {
    const layers = [place.layer];
    const before = await imagesOfLayers();
    const many = await Promise.all(Array.from({ length: 16 }, () => backend.create(specIn(place, { layers }))));
    expect(await imagesOfLayers()).toBe(before + 1);
    expect((await bash(many[15] ?? raise(), "cat file")).stdout).toBe("from the layer\n");
    await Promise.all(many.map((sandbox) => sandbox.dispose()));
    await askEngine(engine.socket, "POST", `/images/prune?filters=${encodeURIComponent('{"dangling":["false"]}')}`);
    const again = await backend.create(specIn(place, { layers }));
    expect((await bash(again, "cat file")).stdout).toBe("from the layer\n");
    await again.dispose();
  });

  it("makes an image of layers while images of layers that are gone are removed, and removes it with one of its own", async () => {
    const layers = ["a", "b", "c", "d"].map(layerWith);
    const before = await imagesOfLayers();
    let over = false;
    const sweeping = (async () => {
      while (!over) await backend.sweep?.();
    })();
    try {
      const sandbox = await backend.create(specIn(place, { layers }));
      expect((await bash(sandbox, "cat /a /b /c /d")).stdout).toBe("a\nb\nc\nd\n");
      await sandbox.dispose();
    } finally {
      over = true;
      await sweeping;
    }
    expect(await imagesOfLayers()).toBe(before + 1);
    rmSync(layers[0] ?? raise(), { recursive: true });
    await backend.sweep?.();
    expect(await imagesOfLayers()).toBe(before);
  });

  it("holds back 100 MiB of output that a slow reader takes, in little memory of the server", async () => {
    const sandbox = await backend.create(specIn(place));
    await bash(sandbox, "head -c 20000000 /dev/zero", { onOutput: () => undefined }); // what the first output ever takes
    const before = process.memoryUsage().rss;
    let most = before;
    let bytes = 0;
    const onOutput = (chunk: { readonly data: Uint8Array }): void => {
      bytes += chunk.data.length;
      most = Math.max(most, process.memoryUsage().rss);
      for (const end = performance.now() + 0.2; performance.now() < end; );
    };
    const result = await bash(sandbox, "head -c 104857600 /dev/zero", { onOutput, timeoutMs: 120_000 });
    expect([result.exitCode, result.outputBytes]).toEqual([0, 104_857_600]);
    expect(bytes).toBeGreaterThan(1_000_000);
    expect((most - before) / 1_048_576).toBeLessThan(50);
    await sandbox.dispose();
  });
});

function raise(): never {
  throw new Error("it was expected to be there");
}

/** A root file system of a static shell alone. */
async function importImage(engine: TestEngine, name: string, changes: readonly string[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "sandlot-image-"));
  try {
    const script = `set -e; cd ${folder}; mkdir -p bin etc work lib lib64 tmp; chmod 777 work tmp; echo acme > etc/name
      for program in /bin/sh /bin/cat /usr/bin/id; do
        cp -L $program bin/; ldd $program | grep -o '/[^ ]*' | while read -r library; do mkdir -p .$(dirname $library); cp -L $library .$library; done
      done; tar -cf - .`;
    const tar = spawnSync("sh", ["-c", script], { maxBuffer: 2 ** 27 });
    if (tar.status !== 0) throw new Error(tar.stderr.toString());
    const query = changes.map((change) => `&changes=${encodeURIComponent(change)}`).join("");
    const [repo, tag] = name.split(":");
    await askEngine(engine.socket, "POST", `/images/create?fromSrc=-&repo=${repo}&tag=${tag}${query}`, tar.stdout);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A registry that is there and answers every question so. */
async function answering(status: number, body: object): Promise<AsyncDisposable & { readonly address: string }> {
  const server: Server = createServer((request, response) => {
    const isVersion = request.url === "/v2/";
    response.writeHead(isVersion ? 200 : status, { "content-type": "application/json" });
    response.end(JSON.stringify(isVersion ? {} : body));
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => new Promise((closed) => server.close(() => closed())),
  };
}
