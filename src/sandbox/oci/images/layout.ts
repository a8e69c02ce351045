import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { check, type Read } from "../../../problem.ts";
import { ARCHITECTURES, broken, digestOf, json, MAX_JSON, type StoredImage } from "./stored.ts";

export interface LayoutPlace {
  readonly path: string;
  /** Empty: the only one. */
  readonly tag: string;
  /** For messages. */
  readonly ref: string;
}

const Descriptor = z.object({
  mediaType: z.string(),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/, "expected sha256: and 64 hex digits"),
  annotations: z.record(z.string(), z.string()).nullish(),
  platform: z.object({ architecture: z.string(), os: z.string() }).nullish(),
});
type Descriptor = z.infer<typeof Descriptor>;
const Index = z.object({ manifests: z.array(Descriptor).min(1) });
const Manifest = z.object({ config: Descriptor, layers: z.array(Descriptor).min(1).max(256) });

const TAG = "org.opencontainers.image.ref.name";
/** An index in an index: of platforms in that of the layout. */
const MAX_DEPTH = 3;

/** An image in a folder as the OCI lays it out. */
export async function openLayout(place: LayoutPlace): Promise<StoredImage> {
  const bytes = await readFile(join(place.path, "index.json")).catch((cause: unknown) => {
    throw broken(place.ref, `${place.path} has no index.json: expected an OCI layout`, cause);
  });
  const { manifests } = accepted(check(Index, json(bytes, place.ref)), place.ref);
  const named = manifests.filter(({ annotations }) => place.tag === "" || annotations?.[TAG] === place.tag);
  const [image, ...others] = named.length > 1 ? named.filter(fits) : named;
  if (image === undefined || others.length > 0) {
    const tags = manifests.map(({ annotations }) => annotations?.[TAG] ?? "one without a tag").join(", ");
    throw broken(place.ref, `expected ${place.tag || "one image"} in the layout, got ${tags}`);
  }
  const manifest = await manifestOf(place, image, 0);
  return {
    config: await blob(place, manifest.config),
    layers: manifest.layers.map((layer) => () => createReadStream(pathOf(place, layer))),
  };
}

async function manifestOf(place: LayoutPlace, of: Descriptor, depth: number): Promise<z.infer<typeof Manifest>> {
  const value = json(await blob(place, of), place.ref);
  const index = check(Index, value);
  if (!index.ok) return accepted(check(Manifest, value), place.ref);
  const fitting = index.value.manifests.find(fits);
  if (fitting !== undefined && depth < MAX_DEPTH) return manifestOf(place, fitting, depth + 1);
  throw broken(place.ref, `it has no manifest for linux/${own()}`);
}

/** Its bytes, which are what the digest says. */
async function blob(place: LayoutPlace, of: Descriptor): Promise<Uint8Array> {
  const path = pathOf(place, of);
  const size = await stat(path).then(
    (found) => found.size,
    () => undefined,
  );
  if (size === undefined || size > MAX_JSON)
    throw broken(place.ref, `expected a blob ${of.digest} of at most ${MAX_JSON} bytes`);
  const bytes = await readFile(path);
  if (digestOf(bytes) !== of.digest) throw broken(place.ref, `the blob ${of.digest} has another digest`);
  return bytes;
}

const pathOf = ({ path }: LayoutPlace, { digest }: Descriptor): string =>
  join(path, "blobs/sha256", digest.slice("sha256:".length));

const own = (): string => ARCHITECTURES[process.arch] ?? process.arch;

/** One without a platform fits everywhere. */
function fits({ platform }: Descriptor): boolean {
  return !platform || (platform.os === "linux" && platform.architecture === own());
}

function accepted<T>(read: Read<T>, ref: string): T {
  if (read.ok) return read.value;
  throw broken(ref, read.problems.join("; "));
}
