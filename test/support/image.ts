import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";

export interface ImageParts {
  /** Trees, lowest first: their content is the archive of a layer each. A text is the path of such an archive. */
  readonly layers: readonly string[];
  readonly config?: { readonly Env?: string[]; readonly WorkingDir?: string; readonly User?: string };
  readonly architecture?: string;
}

/** Writes what `docker save` would: `name` is its only name. */
export function writeDockerArchive(path: string, name: string, parts: ImageParts): string {
  return inScratch(path, (folder) => {
    const layers = parts.layers.map((layer, at) => archiveOf(layer, join(folder, `${at}`, "layer.tar")));
    const { bytes, digest } = configOf(parts, layers);
    const config = `${digest.slice("sha256:".length)}.json`;
    writeFileSync(join(folder, config), bytes);
    const manifest = [{ Config: config, RepoTags: [name], Layers: layers.map((_, at) => `${at}/layer.tar`) }];
    writeFileSync(join(folder, "manifest.json"), JSON.stringify(manifest));
    execFileSync("tar", ["--transform", "s,^\\./,,", "-cf", path, "-C", folder, "."]);
    return digest;
  });
}

/** Writes a folder as the OCI lays it out, with layers packed by gzip. */
export function writeLayout(path: string, tag: string, parts: ImageParts): string {
  return inScratch(path, (folder) => {
    const layers = parts.layers.map((layer, at) => archiveOf(layer, join(folder, `${at}.tar`)));
    const { bytes, digest } = configOf(parts, layers);
    const put = (content: Uint8Array, mediaType: string) => {
      const hex = createHash("sha256").update(content).digest("hex");
      mkdirSync(join(path, "blobs/sha256"), { recursive: true });
      writeFileSync(join(path, "blobs/sha256", hex), content);
      return { mediaType, digest: `sha256:${hex}`, size: content.length };
    };
    const type = "application/vnd.oci.image";
    const manifest = {
      schemaVersion: 2,
      config: put(bytes, `${type}.config.v1+json`),
      layers: layers.map((layer) => put(gzipSync(readFileSync(layer)), `${type}.layer.v1.tar+gzip`)),
    };
    const described = put(Buffer.from(JSON.stringify(manifest)), `${type}.manifest.v1+json`);
    const annotations = { "org.opencontainers.image.ref.name": tag };
    writeFileSync(
      join(path, "index.json"),
      JSON.stringify({ schemaVersion: 2, manifests: [{ ...described, annotations }] }),
    );
    writeFileSync(join(path, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
    return digest;
  });
}

/** What an image needs for repositories to be taken over, and submissions to be read. */
export const GIT_PROGRAMS = [
  ...[
    "bash",
    "sh",
    "git",
    "cat",
    "cp",
    "chmod",
    "cut",
    "date",
    "dd",
    "dirname",
    "env",
    "find",
    "grep",
    "head",
    "id",
    "install",
  ],
  ...[
    "ln",
    "ls",
    "mkdir",
    "mv",
    "printf",
    "pwd",
    "readlink",
    "rm",
    "sed",
    "sort",
    "stat",
    "tail",
    "tar",
    "test",
    "touch",
  ],
  ...[
    "tr",
    "true",
    "uniq",
    "wc",
    "xargs",
    "mktemp",
    "patch",
    "seq",
    "sleep",
    "basename",
    "expr",
    "tee",
    "comm",
    "diff",
  ],
  "/usr/lib/git-core/git-sh-setup",
];

/** Copies programs of this host with the libraries that they load into a tree, each at its own path. */
export function copyPrograms(tree: string, programs: readonly string[]): void {
  mkdirSync(tree, { recursive: true });
  execFileSync("bash", ["-euo", "pipefail", "-c", COPY, "bash", tree, ...programs]);
}

const COPY = `
tree=$1; shift
paths=(); for name; do case $name in /*) paths+=("$name");; *) paths+=("$(type -P "$name")");; esac; done
libraries=$(ldd "\${paths[@]}" 2>/dev/null | grep -oE '/[^ :]+ \\(0x' | cut -d' ' -f1 | sort -u || true)
cp -L --parents -- "\${paths[@]}" $libraries "$tree"
`;

function inScratch<T>(path: string, work: (folder: string) => T): T {
  mkdirSync(dirname(path), { recursive: true });
  const folder = mkdtempSync(`${path}-`);
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function archiveOf(layer: string, path: string): string {
  mkdirSync(dirname(path), { recursive: true });
  if (layer.endsWith(".tar")) cpSync(layer, path);
  else execFileSync("tar", ["--transform", "s,^\\./,,", "-cf", path, "-C", layer, "."]);
  return path;
}

function configOf({ config, architecture }: ImageParts, layers: readonly string[]) {
  const own = process.arch === "x64" ? "amd64" : process.arch;
  const digests = layers.map((path) => `sha256:${createHash("sha256").update(readFileSync(path)).digest("hex")}`);
  const rootfs = { type: "layers", diff_ids: digests };
  const bytes = Buffer.from(
    JSON.stringify({ architecture: architecture ?? own, os: "linux", config: config ?? {}, rootfs }),
  );
  return { bytes, digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}` };
}
