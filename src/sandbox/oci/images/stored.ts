import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import { z } from "zod";
import { SandlotError } from "../../../errors.ts";
import { check } from "../../../problem.ts";
import { variablesOf } from "../../image-words.ts";
import type { Image } from "../../sandbox.ts";

/** An image whose bytes lie on this host. Nothing of it was looked into but its manifest. */
export interface StoredImage {
  /** Its configuration, JSON. */
  readonly config: Uint8Array;
  /** Archives, plain or compressed, lowest first. */
  readonly layers: readonly (() => Readable)[];
}

/** What a configuration says, checked. */
export interface ImageConfig extends Image {
  /** The digest of each layer's plain archive, lowest first. */
  readonly diffIds: readonly string[];
}

/** Manifests and configurations are small; one that is not is refused. */
export const MAX_JSON = 8 * 1_048_576;

const Digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, "expected sha256: and 64 hex digits");
const Config = z.object({
  architecture: z.string(),
  os: z.string().default("linux"),
  config: z
    .object({
      Env: z.array(z.string()).nullish(),
      WorkingDir: z.string().nullish(),
      User: z.string().nullish(),
    })
    .nullish(),
  rootfs: z.object({ diff_ids: z.array(Digest).min(1).max(256) }),
});

/** The digest of an image is that of its configuration, which names the content of every layer. Fault `task`: not one that runs here. */
export function readConfig(bytes: Uint8Array, ref: string): ImageConfig {
  const read = check(Config, json(bytes, ref));
  if (!read.ok) throw broken(ref, `its configuration: ${read.problems.join("; ")}`);
  const { architecture, os, config, rootfs } = read.value;
  const own = ARCHITECTURES[process.arch] ?? process.arch;
  if (os !== "linux" || architecture !== own)
    throw broken(ref, `expected an image for linux/${own}, got one for ${os}/${architecture}`);
  return {
    digest: digestOf(bytes),
    env: variablesOf(config?.Env ?? []),
    workdir: config?.WorkingDir ?? "",
    user: config?.User ?? "",
    diffIds: rootfs.diff_ids,
  };
}

export const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

export function json(bytes: Uint8Array, ref: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (cause) {
    throw broken(ref, "expected JSON", cause);
  }
}

/** Fault `task`: the image itself is at fault. */
export function broken(ref: string, what: string, cause?: unknown): SandlotError {
  return new SandlotError("task", `the image ${ref} cannot be used: ${what}`, { field: "environment.rootfs", cause });
}
