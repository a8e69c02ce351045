import { accessSync, constants, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Cgroups } from "../cgroup.ts";

/** What a runtime needs of the process that starts it, as far as that can be read off: bits of `CapEff`, and the option of `docker run` that gives it. */
const CAPABILITIES = [
  [21, "CAP_SYS_ADMIN", "--cap-add SYS_ADMIN"],
  [12, "CAP_NET_ADMIN", "--cap-add NET_ADMIN"],
] as const;

/** What this process lacks, with the option of a container that gives it. Empty where nothing is known to be lacking. */
export function missingPrivileges(cgroups: Cgroups | undefined, root = "/"): readonly string[] {
  const status = readFileSync(join(root, "proc/self/status"), "utf8");
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  const missing = CAPABILITIES.filter(([bit]) => ((effective >> BigInt(bit)) & 1n) === 0n);
  const unwritable = (cgroups?.hierarchies ?? []).find(({ mountPoint }) => !writable(mountPoint));
  return [
    ...missing.map(([, name, option]) => `${name} (${option})`),
    ...(unwritable ? [`control groups that can be written (--cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:rw)`] : []),
    ...(/^Seccomp:\s*2$/m.test(status)
      ? ["system calls that a filter may forbid (--security-opt seccomp=unconfined)"]
      : []),
  ];
}

function writable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
