import { spawn } from "node:child_process";
import { posix } from "node:path";
import type { Readable } from "node:stream";
import { z } from "zod";
import { runOnHost, tail } from "../../../host-command.ts";
import { check } from "../../../problem.ts";
import { spellings } from "./reference.ts";
import { broken, json, MAX_JSON, type StoredImage } from "./stored.ts";

export interface ArchivePlace {
  readonly path: string;
  /** Empty: the only one. */
  readonly name: string;
  /** For messages. */
  readonly ref: string;
  /** The PATH of this host's tar. */
  readonly hostPath: string;
}

const Member = z.string().regex(/^(?!\/)(?!(?:.*\/)?\.\.(?:\/|$))[^\0\n]+$/, "expected a member of the archive");
const Manifest = z
  .array(z.object({ Config: Member, RepoTags: z.array(z.string()).nullish(), Layers: z.array(Member).min(1).max(256) }))
  .min(1);

/** An image in a file that `docker save` or `podman save` wrote. */
export async function openArchive(place: ArchivePlace): Promise<StoredImage> {
  const { ref, name } = place;
  const read = check(Manifest, json(await small(place, "manifest.json"), ref));
  if (!read.ok) throw broken(ref, `manifest.json: ${read.problems.join("; ")}`);
  const wanted = new Set(name === "" ? [] : spellings(name));
  const images = read.value.filter(({ RepoTags }) => name === "" || RepoTags?.some((tag) => wanted.has(tag)));
  const [image, ...others] = images;
  if (image === undefined || others.length > 0) {
    const names = read.value.flatMap(({ RepoTags }) => RepoTags ?? []).join(", ");
    throw broken(ref, `expected ${name || "one image"} in the archive, got ${names || "images without a name"}`);
  }
  const links = await linksOf(place);
  const real = (member: string): string => links.get(member) ?? member;
  return {
    config: await small(place, real(image.Config)),
    layers: image.Layers.map((layer) => () => streamOf(place, real(layer))),
  };
}

/** Layers that an archive has twice are links, in what older releases wrote. */
async function linksOf({ path, ref, hostPath }: ArchivePlace): Promise<ReadonlyMap<string, string>> {
  const listed = await runOnHost({
    argv: ["tar", "--list", "--verbose", "--numeric-owner", "--file", path],
    env: { PATH: hostPath, LC_ALL: "C" },
    timeoutMs: TAR_MS,
  });
  if (listed.exitCode !== 0) throw broken(ref, tail(listed.stderr));
  const found = listed.stdout.matchAll(/^l\S+ +\S+ +\d+ +\S+ +\S+ (.+) -> (.+)$/gm);
  return new Map(
    [...found].map(([, from = "", to = ""]) => [from, posix.normalize(posix.join(posix.dirname(from), to))]),
  );
}

async function small(place: ArchivePlace, member: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of streamOf(place, member)) {
    size += chunk.length;
    if (size > MAX_JSON) throw broken(place.ref, `${member} is longer than ${MAX_JSON} bytes`);
    chunks.push(chunk);
  }
  if (size > 0) return Buffer.concat(chunks);
  throw broken(place.ref, `${place.path} has no ${member}: expected what \`docker save\` writes`);
}

/** A member's bytes; none when it is not there. */
function streamOf({ path, ref, hostPath }: ArchivePlace, member: string): Readable {
  const argv = ["--extract", "--to-stdout", "--occurrence=1", "--no-wildcards", "--file", path, "--", member];
  const child = spawn("tar", argv, { env: { PATH: hostPath, LC_ALL: "C" }, stdio: ["ignore", "pipe", "ignore"] });
  const { stdout } = child;
  child.once("error", (cause) => stdout.destroy(broken(ref, `tar does not run on this host: ${cause.message}`)));
  // Whoever stops reading ends the program too.
  stdout.once("close", () => child.kill("SIGKILL"));
  return stdout;
}

const TAR_MS = 600_000;
