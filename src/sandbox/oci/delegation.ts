import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SandlotError } from "../../errors.ts";
import type { Cgroups } from "../cgroup.ts";
import { isErrno } from "../identity.ts";

/**
 * Makes the controllers of limits work below the top of version 2. The kernel's own top is left to the runtimes. That of a container with a cgroup namespace of
 * its own is a group like any other: it hands out controllers only while no process is in it. Those that are, the server among them, move into `init` below it, as
 * container engines that run inside a container do. Rejects with `unsupported` when the kernel does not let it.
 */
export async function delegateControllers({ version, controllers, hierarchies }: Cgroups): Promise<void> {
  const top = hierarchies[0]?.mountPoint;
  if (version !== 2 || top === undefined || !existsSync(join(top, "cgroup.type"))) return;
  const wanted = LIMITING.filter((controller) => controllers.has(controller));
  const given = (): readonly string[] => readFileSync(join(top, "cgroup.subtree_control"), "utf8").trim().split(" ");
  try {
    // With a controller of threads given out already, a group below could take no process in.
    await vacate(top);
    if (wanted.every((controller) => given().includes(controller))) return;
    await writeFile(join(top, "cgroup.subtree_control"), wanted.map((controller) => `+${controller}`).join(" "));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SandlotError(
      "unsupported",
      `limits need the control groups of this container, which cannot be set up (${why}): give it a writable ${top} and a cgroup namespace of its own, or start the server outside`,
      { cause },
    );
  }
}

const LIMITING = ["memory", "pids", "cpu"] as const;

/** Again, for what was forked meanwhile. */
async function vacate(top: string): Promise<void> {
  for (let round = 0; round < 100; round++) {
    const pids = readFileSync(join(top, "cgroup.procs"), "utf8")
      .split("\n")
      .filter((line) => line !== "");
    if (pids.length === 0) return;
    if (pids.includes("0")) throw new Error("processes of outside are in the same group");
    const init = join(top, "init");
    // Not `recursive`, which says of a read-only file system that there is no such folder.
    await mkdir(init).catch(ignore("EEXIST"));
    for (const pid of pids) await writeFile(join(init, "cgroup.procs"), pid).catch(ignore("ESRCH"));
  }
  throw new Error(`processes come into ${top} faster than they can be moved`);
}

function ignore(code: string): (error: unknown) => void {
  return (error) => {
    if (!isErrno(error, code)) throw error;
  };
}
