import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Everything on this host that belongs to one server's sandboxes, a line each: mounts, control groups, processes, loop devices, folders. */
export function leftovers(stateDir: string, instance: string): readonly string[] {
  const name = `sandlot-${instance}`;
  const ours = (text: string): boolean => text.includes(name) || text.includes(stateDir);
  return [
    ...read("/proc/self/mountinfo")
      .split("\n")
      .filter(ours)
      .map((line) => `mount ${line}`),
    ...groups("/sys/fs/cgroup", name, 2).map((folder) => `cgroup ${folder}`),
    ...names("/proc")
      .filter((pid) => /^\d+$/.test(pid) && ours(read(`/proc/${pid}/cgroup`) + commandLine(pid)))
      .map((pid) => `process ${pid} ${commandLine(pid)}`),
    ...names("/sys/block")
      .filter((device) => read(`/sys/block/${device}/loop/backing_file`).includes(stateDir))
      .map((device) => `loop device ${device}`),
    ...["sandboxes", "runtime"].flatMap((folder) =>
      names(join(stateDir, folder)).map((id) => `folder ${folder}/${id}`),
    ),
  ];
}

function commandLine(pid: string): string {
  return read(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
}

/** Below version 1 each controller has a tree of its own. */
function groups(folder: string, name: string, depth: number): string[] {
  const found = names(folder).filter((entry) => entry === name);
  const here = found.map((entry) => join(folder, entry));
  if (depth === 0) return here;
  const below = names(folder).filter((entry) => existsSync(join(folder, entry, "cgroup.procs")));
  return [...here, ...below.flatMap((entry) => groups(join(folder, entry), name, depth - 2))];
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
