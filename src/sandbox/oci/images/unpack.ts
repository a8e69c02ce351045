import { createHash, randomBytes } from "node:crypto";
import { createWriteStream } from "node:fs";
import { chmod, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough, Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { SandlotError } from "../../../errors.ts";
import { tail } from "../../../host-command.ts";
import type { ExecResult, Sandbox, SandboxSpec } from "../../sandbox.ts";
import { convertMarkers } from "./markers.ts";
import { broken } from "./stored.ts";

export interface Unpacking {
  readonly ref: string;
  readonly diffId: string;
  readonly open: () => Readable;
  /** An empty folder on the backend's volume; the layer becomes `layer` in it. */
  readonly folder: string;
  readonly signal: AbortSignal;
}

export interface Unpacker {
  readonly instance: string;
  readonly hostPath: string;
  readonly buildLayer: (spec: SandboxSpec, target: string, work: (sandbox: Sandbox) => Promise<void>) => Promise<void>;
}

/**
 * Makes a layer of an image a folder as overlayfs takes it. The archive is hostile: it is checked against its digest as it is written down, and taken apart by this host's GNU tar in a sandbox of its own
 * that holds nothing else.
 */
export async function unpackLayer(unpacker: Unpacker, unpacking: Unpacking): Promise<void> {
  const { folder, signal, ref } = unpacking;
  const archive = join(folder, "archive.tar");
  const built = join(folder, "built");
  const layer = join(folder, LAYER);
  await writeDown(unpacking, archive);
  signal.throwIfAborted();
  await unpacker.buildLayer(specOf(unpacker, archive), built, async (sandbox) => {
    const result = await sandbox.exec(["sh", "-c", UNPACK], { callId: "unpack", timeoutMs: UNPACK_MS, signal });
    if (result.exitCode === 0) return;
    const words = wordsOf(result);
    if (words.includes("No space left on device")) throw new Error("no space left on the device that holds the images");
    throw broken(ref, `a layer cannot be unpacked: ${words}`);
  });
  await rm(archive);
  await rename(join(built, INSIDE), layer);
  await rm(built, { recursive: true, force: true });
  await convertMarkers(layer, { ref, hostPath: unpacker.hostPath });
}

/** The layer's folder within what was made. */
export const LAYER = "t";
const INSIDE = "image";
const ARCHIVE = "/archive.tar";
const UNPACK_MS = 3_600_000;
/** Devices and what is mounted in every sandbox stay out, and what is in the way of that mount; owners, modes and times are the image's. */
const UNPACK = [
  `mkdir -m 755 /${INSIDE} && tar --extract --file ${ARCHIVE} --directory /${INSIDE} --numeric-owner --same-owner -p`,
  "--delay-directory-restore --anchored --exclude='dev/*' --exclude='./dev/*' --exclude='proc/*' --exclude='./proc/*'",
  "--exclude='sys/*' --exclude='./sys/*' &&",
  `cd /${INSIDE} && for name in dev proc sys; do if [ -L $name ] || { [ -e $name ] && [ ! -d $name ]; }; then rm -f $name; fi; done`,
].join(" ");

function specOf({ instance }: Unpacker, archive: string): SandboxSpec {
  return {
    id: `sandlot-${instance}-${randomBytes(16).toString("hex")}`,
    rootfs: { type: "host" },
    ...{ layers: [], views: [], workdir: "/", network: "none" },
    binds: [{ source: archive, target: ARCHIVE }],
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C" },
    limits: { memoryMiB: 1_024, cpuMilli: 2_000, pids: 32, diskMiB: 262_144 },
  };
}

/** Writes the plain archive, and holds it against its digest. */
async function writeDown({ open, diffId, ref, signal }: Unpacking, path: string): Promise<void> {
  const hash = createHash("sha256");
  let bytes = 0;
  const measured = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      done(bytes > MAX_LAYER ? broken(ref, `a layer is longer than ${MAX_LAYER} bytes`) : null, chunk);
    },
  });
  const stored = open();
  try {
    const plain = await plainOf(stored);
    await pipeline([...plain, measured, createWriteStream(path, { flags: "wx", mode: 0o600 })], { signal });
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof SandlotError || isOfDisk(cause)) throw cause;
    throw broken(ref, `a layer cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  } finally {
    stored.destroy();
  }
  const found = `sha256:${hash.digest("hex")}`;
  if (found !== diffId) throw broken(ref, `a layer has the digest ${found}, expected ${diffId}`);
  await chmod(path, 0o444);
}

/** 64 GiB: more is an attack, or a mistake. */
const MAX_LAYER = 64 * 2 ** 30;

/** What a stream begins with says how it is compressed. */
async function plainOf(stored: Readable): Promise<[Readable, ...Transform[]]> {
  const chunks = stored[Symbol.asyncIterator]();
  const first = await chunks.next();
  const head: Buffer = first.done === true ? Buffer.alloc(0) : first.value;
  const whole = Readable.from(
    (async function* () {
      yield head;
      for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value;
    })(),
  );
  if (head.subarray(0, 2).equals(GZIP)) return [whole, createGunzip()];
  if (head.subarray(0, 4).equals(ZSTD)) return [whole, createZstdDecompress()];
  return [whole, new PassThrough()];
}

const GZIP = Buffer.from("1f8b", "hex");
const ZSTD = Buffer.from("28b52ffd", "hex");

function isOfDisk(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && (cause.code === "ENOSPC" || cause.code === "EDQUOT");
}

function wordsOf(result: ExecResult): string {
  const text = Buffer.concat(result.output.map(({ data }) => data)).toString("utf8");
  const how = result.timedOut
    ? "it took too long"
    : (result.note ?? `tar ended with ${result.exitCode ?? `signal ${result.signal}`}`);
  return `${how}: ${tail(text, 1024)}`;
}
