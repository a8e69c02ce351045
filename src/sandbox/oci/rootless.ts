import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { SandlotError } from "../../errors.ts";
import type { Lacks } from "../abilities.ts";

const run = promisify(execFile);

/**
 * Without root a program becomes root of a user namespace of its own, in which no user exists but the server's. There it may mount overlays and begin all other namespaces; what it may not is limit by control
 * groups, mount a disk image, or give a file to another user. Each sandbox has one of its own below that of the launcher, so that the kernel counts its processes apart from all others.
 */
export const AS_OWN_ROOT = ["unshare", "--user", "--map-root-user"] as const;

/** What is lost, beside hard limits. */
export const ROOTLESS_LACKS: Lacks = {
  cpuLimit: "without root there is no control group that could slow down who uses too much",
  images: "the files of an image belong to several users, and without root there is one",
  owners: "without root a sandbox has one user, root",
  folderRenames: "without root an overlay cannot note where a folder of a lower layer went: it is copied instead",
};

export interface Wanted {
  readonly runtime: "auto" | "crun" | "runc";
  readonly disk: "auto" | "loop" | "watched";
}

/** Rejects with `unsupported` where this host, or what is wanted, cannot be had without root. */
export async function checkRootless({ runtime, disk }: Wanted): Promise<void> {
  if (runtime === "runc") {
    refuse("backend.runtime", "expected crun or auto without root: runc wants control groups of its own");
  }
  if (disk === "loop") refuse("backend.disk", "expected watched or auto without root: only root mounts disk images");
  const [program, ...rest] = AS_OWN_ROOT;
  await run(program, [...rest, "--mount", "true"], { timeout: 10_000 }).catch((cause: unknown) => {
    const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim() : String(cause);
    refuse(
      "backend.type",
      `the oci backend needs root, or user namespaces for everybody, which this host does not have (${said}; sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone or kernel.apparmor_restrict_unprivileged_userns): start the server as root, or, to try things out without any isolation, with a configuration that says \`backend: { type: process, commands_run_unprotected_on_this_host: true }\``,
      cause,
    );
  });
}

function refuse(knob: string, words: string, cause?: unknown): never {
  throw new SandlotError("unsupported", `${knob}: ${words}`, { knob, cause });
}
