import { createHash, randomBytes } from "node:crypto";
import { chmod, cp, lstat, mkdir, readFile, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isErrno } from "../identity.ts";
import type { Bind } from "../sandbox.ts";

/** The root file system `host`: a small folder tree of our own at the bottom, and this host's program folders, read-only, over it. */
export interface HostRootfs {
  readonly skeleton: string;
  readonly binds: readonly Bind[];
}

/**
 * Builds the skeleton below `folder` unless it is there already. Nothing of the host is in it but what programs need to start (the allow-list below): no
 * home folders, no host name, no users but root and nobody.
 */
export async function openHostRootfs(folder: string): Promise<HostRootfs> {
  const binds: Bind[] = [];
  const links: [string, string][] = [];
  for (const name of PROGRAM_FOLDERS) {
    const path = `/${name}`;
    const stat = await lstat(path).catch(() => undefined);
    if (stat?.isSymbolicLink() === true) links.push([name, await readlink(path)]);
    else if (stat?.isDirectory() === true) binds.push({ source: path, target: path });
  }
  const skeleton = join(folder, `host-${await digest(binds, links)}`);
  if ((await lstat(skeleton).catch(() => undefined)) === undefined) await build(skeleton, binds, links);
  return { skeleton, binds };
}

/** A layer for above an image: the files that an engine writes into each container. */
export async function openEtc(folder: string): Promise<string> {
  const layer = join(folder, `etc-${ETC_VERSION}`);
  await mkdir(join(layer, "etc"), { recursive: true });
  for (const name of ENGINE_FILES)
    await writeFile(join(layer, "etc", name), OWN_FILES[`etc/${name}`] ?? "", { mode: 0o644 });
  await chmod(layer, 0o755);
  return layer;
}

const ETC_VERSION = "1";
const ENGINE_FILES = ["hostname", "hosts", "resolv.conf"];
const LAYOUT_VERSION = "1";
const PROGRAM_FOLDERS = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];
const EMPTY_FOLDERS = [
  "proc",
  "dev",
  "run",
  "var/lib",
  "var/log",
  "var/cache",
  "opt",
  "home",
  "srv",
  "mnt",
  "media",
  "etc",
];
const SHARED_FOLDERS = ["tmp", "var/tmp"];
/** Below /etc; what is absent on this host is left out. */
const ETC = [
  "alternatives",
  "bash.bashrc",
  "debian_version",
  "fonts",
  "host.conf",
  "inputrc",
  "java-8-openjdk",
  "java-11-openjdk",
  "java-17-openjdk",
  "java-21-openjdk",
  "ld.so.cache",
  "ld.so.conf",
  "ld.so.conf.d",
  "locale.alias",
  "localtime",
  "login.defs",
  "magic",
  "magic.mime",
  "mime.types",
  "nsswitch.conf",
  "os-release",
  "perl",
  "pki/tls/certs",
  "pki/ca-trust/extracted",
  "profile",
  "protocols",
  "rpc",
  "services",
  "shells",
  "ssl/certs",
  "ssl/cert.pem",
  "ssl/openssl.cnf",
  "terminfo",
  "timezone",
];
const OWN_FILES: Readonly<Record<string, string>> = {
  "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
  "etc/group": "root:x:0:\ntty:x:5:\nstaff:x:50:\nusers:x:100:\nnogroup:x:65534:\n",
  "etc/shadow": "root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n",
  "etc/hostname": "sandbox\n",
  "etc/hosts": "127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost ip6-loopback\n",
  "etc/resolv.conf": "",
};

async function digest(binds: readonly Bind[], links: readonly [string, string][]): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify([LAYOUT_VERSION, binds, links]));
  // Changes with every library that comes or goes, as the copy must.
  for (const file of ["/etc/ld.so.cache", "/etc/os-release"]) hash.update(await readFile(file).catch(() => ""));
  return hash.digest("hex").slice(0, 16);
}

async function build(skeleton: string, binds: readonly Bind[], links: readonly [string, string][]): Promise<void> {
  const half = `${skeleton}.${randomBytes(4).toString("hex")}`;
  try {
    for (const name of [...EMPTY_FOLDERS, ...binds.map((bind) => bind.target)])
      await mkdir(join(half, name), { recursive: true });
    for (const name of SHARED_FOLDERS) {
      await mkdir(join(half, name), { recursive: true });
      await chmod(join(half, name), 0o1777);
    }
    await mkdir(join(half, "root"), { mode: 0o700 });
    for (const [name, target] of links) await symlink(target, join(half, name));
    for (const name of ETC) await copyFromHost(join("/etc", name), join(half, "etc", name));
    for (const [name, text] of Object.entries(OWN_FILES)) await writeFile(join(half, name), text, { mode: 0o644 });
    await chmod(join(half, "etc/shadow"), 0o640);
    await symlink("/proc/self/mounts", join(half, "etc/mtab"));
    await chmod(half, 0o755);
    await rename(half, skeleton);
  } catch (error) {
    await rm(half, { recursive: true, force: true });
    // Another process was first: the same content.
    if (!isErrno(error, "ENOTEMPTY") && !isErrno(error, "EEXIST")) throw error;
  }
}

async function copyFromHost(from: string, to: string): Promise<void> {
  try {
    await mkdir(dirname(to), { recursive: true });
    await cp(from, to, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true, filter: isPublic });
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}

/** Private keys and the like stay out, wherever they lie. */
async function isPublic(path: string): Promise<boolean> {
  const stat = await lstat(path);
  return stat.isSymbolicLink() || ((stat.isFile() || stat.isDirectory()) && (stat.mode & 0o004) !== 0);
}
