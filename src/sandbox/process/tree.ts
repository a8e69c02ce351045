import { readdirSync, readFileSync } from "node:fs";
import { type Identity, isErrno, lives, signal, waitUntilDead } from "../identity.ts";

/** Every living process below `pid`, by what /proc says now. */
export function descendants(pid: number): readonly number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const parent = /^\d+$/.test(name) ? parentOf(name) : undefined;
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found: number[] = [];
  for (
    let next: number[] = children.get(pid) ?? [];
    next.length > 0;
    next = next.flatMap((of) => children.get(of) ?? [])
  ) {
    found.push(...next);
  }
  return found;
}

/** Sends a signal to everything below; stopped first by the caller, nothing is born meanwhile. */
export function signalDescendants(pid: number, name: NodeJS.Signals): number {
  const all = descendants(pid);
  for (const each of all) {
    try {
      process.kill(each, name);
    } catch (error) {
      if (!isErrno(error, "ESRCH")) throw error;
    }
  }
  return all.length;
}

/** Ends a process and all below it from outside. */
export async function killTree(root: Identity): Promise<void> {
  signal(root, "SIGSTOP");
  if (lives(root)) signalDescendants(root.pid, "SIGKILL");
  signal(root, "SIGKILL");
  if (!(await waitUntilDead(root, 10_000))) throw new Error(`process ${root.pid} did not die within 10 s of SIGKILL`);
}

function parentOf(name: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${name}/stat`, "latin1");
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" || state === "X" ? undefined : Number(parent);
  } catch {
    return undefined;
  }
}
