import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { openHostRootfs } from "../../../src/sandbox/oci/host-rootfs.ts";
import type { Disk } from "./machine.ts";

/**
 * This host's own system folders as a machine's disk, and nothing else of it: the host's root at the bottom, and over it a layer of our own in which everything but
 * them is whited out, or stands alone.
 */
export async function hostDisk(folder: string): Promise<Disk> {
  const mask = join(folder, "host-mask");
  if (existsSync(mask)) return { lower: "/", changes: mask };
  const { skeleton, binds } = await openHostRootfs(folder);
  const shared = new Set(binds.map(({ target }) => target.slice(1)));
  mkdirSync(mask, { mode: 0o755 });
  const ours = readdirSync(skeleton, { withFileTypes: true });
  for (const entry of ours) {
    if (shared.has(entry.name)) continue;
    execFileSync("cp", ["-a", join(skeleton, entry.name), mask]);
    if (entry.isDirectory()) execFileSync("python3", ["-c", OPAQUE, join(mask, entry.name)]);
  }
  const kept = new Set([...shared, ...ours.map(({ name }) => name)]);
  for (const name of readdirSync("/")) {
    if (!kept.has(name)) execFileSync("mknod", [join(mask, name), "c", "0", "0"]);
  }
  return { lower: "/", changes: mask };
}

const OPAQUE = "import os, sys; os.setxattr(sys.argv[1], 'trusted.overlay.opaque', b'y')";
