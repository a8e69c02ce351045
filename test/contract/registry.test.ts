import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WAITS } from "../../src/sandbox/docker/waits.ts";
import type { Backend } from "../../src/sandbox/sandbox.ts";
import { newPlace, specIn, textOf, type Variant } from "../support/backends.ts";
import { startDockerd, startPodman, type TestEngine } from "../support/engine.ts";
import { type FaultyProxy, startProxy } from "../support/faulty-proxy.ts";
import { copyPrograms } from "../support/image.ts";
import { type Descriptor, startRegistry, type TestRegistry } from "../support/registry.ts";
import { leaveOut } from "../support/required.ts";

const OCI = "application/vnd.oci.image";
const DOCKER = "application/vnd.docker";
const REPOSITORY = "team/image";
const OWN = process.arch === "x64" ? "amd64" : process.arch;

const folder = mkdtempSync(join(tmpdir(), "sandlot-registries-"));
const registry = await startRegistry().catch((error: Error) => error.message);
const locked = await startRegistry({ user: "me", password: "secret" }).catch((error: Error) => error.message);
if (typeof registry === "string") leaveOut("images from a registry", "registry", registry);

/** Whoever brings images, with a registry that has no certificate allowed. */
const BRINGERS = {
  docker: () => engineVariant("docker", () => startDockerd({ liveRestore: false })),
  podman: () => engineVariant("podman", () => startPodman({ CONTAINERS_REGISTRIES_CONF: registriesConf() })),
  oci: () => skopeoVariant(),
};

afterAll(async () => {
  if (typeof registry !== "string") await registry[Symbol.asyncDispose]();
  if (typeof locked !== "string") await locked[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(typeof registry === "string" || typeof locked === "string")("a registry", () => {
  let pushed: Pushed;
  let proxy: FaultyProxy;
  beforeAll(async () => {
    pushed = await push(registry as TestRegistry);
    await push(locked as TestRegistry);
    proxy = await startProxy(
      { host: "127.0.0.1", port: 0 },
      { host: "127.0.0.1", port: (registry as TestRegistry).port },
    );
    writeFileSync(
      registriesConf(),
      insecure([(registry as TestRegistry).address, (locked as TestRegistry).address, `127.0.0.1:${proxy.port}`]),
    );
  });
  afterAll(() => proxy?.[Symbol.asyncDispose]());

  for (const [name, open] of Object.entries(BRINGERS)) {
    describe(`that ${name} asks`, () => {
      let ground: Awaited<ReturnType<typeof open>> | string = "it was not opened";
      let backend: Backend;
      let place: ReturnType<typeof newPlace>;

      beforeAll(async () => {
        ground = await open().catch((error: Error) => error.message);
        if (typeof ground === "string") return leaveOut(`a registry that ${name} asks`, name, ground);
        place = newPlace(ground.variant, ground.env);
        backend = await place.open();
      });
      afterAll(async () => {
        if (typeof ground === "string") return;
        await backend?.close();
        await place?.[Symbol.asyncDispose]();
        await ground[Symbol.asyncDispose]();
      });
      const resolve = async (ref: string, told: string[] = []) => {
        if (backend.images === undefined) throw new Error("a backend with images was expected");
        return backend.images.resolve(ref, {
          signal: AbortSignal.timeout(60_000),
          report: ({ message }) => told.push(message),
        });
      };
      const at = (): string => `${(registry as TestRegistry).address}/${REPOSITORY}`;
      const behind = (): string => `127.0.0.1:${proxy.port}/${REPOSITORY}`;

      it("gives images by tag and by digest, of every form, told as they come, and sandboxes with what their layers say", async ({
        skip,
      }) => {
        if (typeof ground === "string") return skip(ground);
        const { digest } = pushed.manifest;
        for (const ref of [":oci", `@${digest}`, `:oci@${digest}`, ":zstd", ":docker", ":index"]) {
          const told: string[] = [];
          const image = await resolve(at() + ref, told);
          expect([ref, image]).toEqual([
            ref,
            { digest: pushed.config, env: { PATH: "/usr/bin", A: "b" }, workdir: "/work", user: "" },
          ]);
          if (ref === ":oci") expect(told.join("\n")).toContain(at());
        }
        const rootfs = { type: "image", ref: `${at()}:oci`, digest: pushed.config } as const;
        const sandbox = await backend.create(
          specIn(place, { rootfs, layers: [], workdir: "/work", env: { PATH: "/usr/bin" } }),
        );
        try {
          const script = "cat kept new; ls -A . hidden; stat -c '%a %h' /work/suid /work/linked; cat /absolute";
          const result = await sandbox.exec(["bash", "-c", script], { callId: "a", timeoutMs: 60_000 });
          expect([textOf(result, "stdout"), textOf(result, "stderr")]).toEqual([TREE, ""]);
        } finally {
          await sandbox.dispose();
        }
      });

      it("says whose fault it is that there is no image", async ({ skip }) => {
        if (typeof ground === "string") return skip(ground);
        const theTasks = [
          `${at()}:none`,
          `${at().replace("team", "nobody")}:1`,
          `${at()}@sha256:${"0".repeat(64)}`,
          `${at()}:other-machine`,
        ];
        theTasks.push(`${(locked as TestRegistry).address}/${REPOSITORY}:oci`);
        for (const ref of theTasks) expect([ref, await faultOf(resolve(ref))]).toEqual([ref, "task"]);
        expect(await faultOf(resolve("127.0.0.1:1/team/image:1"))).toBe("sandbox");
        proxy.faults.push({
          at: /manifests/,
          times: 100,
          answer: { status: 500, body: { errors: [{ code: "UNKNOWN", message: "out of order" }] } },
        });
        expect(await faultOf(resolve(`${behind()}:oci`))).toBe("sandbox");
        proxy.faults.length = 0;
      });

      it("may lose its connection in a layer, and may lie, without an image that is not what it says", async ({
        skip,
      }) => {
        if (typeof ground === "string") return skip(ground);
        proxy.faults.push({ at: /blobs/, times: 1_000, answer: { status: 200, text: "something else" } });
        expect(await faultOf(resolve(`${behind()}:lone`))).toBe("sandbox");
        proxy.faults.length = 0;
        proxy.faults.push({ at: /blobs/, times: 1, cutAfterBytes: 20_000 });
        expect(await faultOf(resolve(`${behind()}:lone`)), "cut once").toMatch(/^(sandbox|none)$/);
        proxy.faults.length = 0;
        expect((await resolve(`${behind()}:lone`)).env).toEqual({ PATH: "/usr/bin", A: "lone" });
      });
    });
  }
});

function faultOf(resolving: Promise<unknown>): Promise<string | undefined> {
  return resolving.then(
    () => "none",
    (error: unknown) => (error as { readonly fault?: string }).fault,
  );
}

const TREE =
  "below\nabove\n.:\nhidden\nkept\nlinked\nnew\nsuid\n\nhidden:\nabove\n4755 2\n4755 2\nroot:x:0:0::/:/bin/bash\n";

interface Pushed {
  readonly manifest: Descriptor;
  readonly config: string;
}

/** One image in every form, one for another machine, and one that nothing else shares a layer with. */
async function push(to: TestRegistry): Promise<Pushed> {
  const layers = layersOf();
  const config = configOf(layers, { Env: ["PATH=/usr/bin", "A=b"], WorkingDir: "/work" });
  const put = (bytes: Uint8Array, type: string) => to.blob(REPOSITORY, bytes, type);
  const [base, top] = layers.map((layer) => gzipSync(layer));
  if (base === undefined || top === undefined) throw new Error("two layers were expected");
  const gzip = `${OCI}.layer.v1.tar+gzip`;
  const ociConfig = await put(config, `${OCI}.config.v1+json`);
  const lower = await put(base, gzip);
  const upper = await put(top, gzip);
  const type = { mediaType: `${OCI}.manifest.v1+json` };
  const manifest = await to.manifest(REPOSITORY, "oci", { ...type, ...{ config: ociConfig, layers: [lower, upper] } });
  const packed = await put(zstdCompressSync(layers[1] ?? top), `${OCI}.layer.v1.tar+zstd`);
  await to.manifest(REPOSITORY, "zstd", { ...type, ...{ config: ociConfig, layers: [lower, packed] } });
  const docker = await Promise.all([base, top].map((layer) => put(layer, `${DOCKER}.image.rootfs.diff.tar.gzip`)));
  const dockerConfig = await put(config, `${DOCKER}.container.image.v1+json`);
  const dockerType = { mediaType: `${DOCKER}.distribution.manifest.v2+json` };
  await to.manifest(REPOSITORY, "docker", { ...dockerType, ...{ config: dockerConfig, layers: docker } });
  const other = { os: "linux", architecture: "s390x" };
  const index = { mediaType: `${OCI}.index.v1+json` };
  await to.manifest(REPOSITORY, "other-machine", { ...index, ...{ manifests: [{ ...manifest, platform: other }] } });
  const both = [
    { ...manifest, platform: other },
    { ...manifest, platform: { os: "linux", architecture: OWN } },
  ];
  await to.manifest(REPOSITORY, "index", { ...index, ...{ manifests: both.toReversed() } });
  const lone = layersOf("lone").slice(0, 1);
  const loneConfig = await put(configOf(lone, { Env: ["PATH=/usr/bin", "A=lone"] }), `${OCI}.config.v1+json`);
  const loneLayer = await put(gzipSync(lone[0] ?? base), gzip);
  await to.manifest(REPOSITORY, "lone", { ...type, ...{ config: loneConfig, layers: [loneLayer] } });
  return { manifest, config: digestOf(config) };
}

/** A layer of programs, and one above it that deletes, hides and links. */
function layersOf(mark = ""): Buffer[] {
  const base = join(folder, `base${mark}`);
  copyPrograms(base, ["bash", "cat", "ls", "stat"]);
  const top = join(folder, "top");
  const script = `
    cd "$1"; mkdir -p etc work/hidden tmp; echo root:x:0:0::/:/bin/bash > etc/passwd; echo "$3" > mark
    echo below > work/kept; echo gone > work/gone; echo hidden > work/hidden/below
    [ -d "$2" ] || { mkdir -p "$2/work/hidden"; cd "$2"; echo above > work/new; touch work/.wh.gone work/hidden/.wh..wh..opq; echo x > work/hidden/above
    echo x > work/suid; chmod 4755 work/suid; ln work/suid work/linked; ln -s /etc/passwd absolute; }`;
  execFileSync("bash", ["-euc", script, "bash", base, top, mark]);
  return [base, top].map((tree) =>
    execFileSync("tar", ["--sort=name", "-cf", "-", "-C", tree, "."], { maxBuffer: 2 ** 28 }),
  );
}

function configOf(layers: readonly Uint8Array[], config: object): Buffer {
  const rootfs = { type: "layers", diff_ids: layers.map(digestOf) };
  return Buffer.from(JSON.stringify({ architecture: OWN, os: "linux", config, rootfs }));
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Where skopeo and Podman read which registries have no certificate, with `folder` for a home. */
function registriesConf(): string {
  mkdirSync(join(folder, ".config/containers"), { recursive: true });
  return join(folder, ".config/containers/registries.conf");
}

function insecure(addresses: readonly string[]): string {
  return addresses.map((address) => `[[registry]]\nlocation = "${address}"\ninsecure = true\n`).join("");
}

interface Bringer extends AsyncDisposable {
  readonly variant: Variant;
  readonly env: Readonly<Record<string, string>>;
}

async function engineVariant(name: string, start: () => Promise<TestEngine>): Promise<Bringer> {
  const engine = await start();
  const { socket } = engine;
  const options = { type: "docker", socket, runtime: "", host_image: "", pull: "missing", waits: WAITS } as const;
  return { variant: { name, options }, env: {}, [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose]() };
}

async function skopeoVariant(): Promise<Bringer> {
  if (process.getuid?.() !== 0) throw new Error("images need root on this backend");
  try {
    execFileSync("skopeo", ["--version"]);
  } catch {
    throw new Error("skopeo is not installed");
  }
  const options = { type: "oci", runtime: "crun", disk: "watched" } as const;
  return { variant: { name: "oci", options }, env: { HOME: folder }, [Symbol.asyncDispose]: async () => undefined };
}
