import { readdirSync, readFileSync } from "node:fs";

/** Proportional set size, in MiB, of the processes whose pid `wanted` accepts. Processes that end meanwhile count nothing. */
export function pssMiB(wanted: (pid: number, cgroup: string, command: string) => boolean): number {
  let kib = 0;
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    try {
      const read = (file: string): string => readFileSync(`/proc/${pid}/${file}`, "utf8");
      if (!wanted(pid, read("cgroup"), read("cmdline"))) continue;
      kib += Number(/^Pss:\s+(\d+)/m.exec(read("smaps_rollup"))?.[1] ?? 0);
    } catch {
      // it has ended
    }
  }
  return kib / 1024;
}

/** The process and all that it started and that is still its descendant. */
export function family(root: number): Set<number> {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    try {
      const parent = Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1]);
      children.set(parent, [...(children.get(parent) ?? []), pid]);
    } catch {
      // it has ended
    }
  }
  const found = new Set<number>();
  const visit = (pid: number): void => {
    found.add(pid);
    children.get(pid)?.forEach(visit);
  };
  visit(root);
  return found;
}
