import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Identity, isErrno, lives, signal, waitUntilDead } from "./identity.ts";

/** The processes of this host as /proc has them now, by parent; the dead are left out. */
export type ProcessTable = ReadonlyMap<number, readonly Process[]>;

interface Process {
  readonly pid: number;
  /** As /proc has it: T or t stands still, D waits for the kernel. */
  readonly state: string;
}

export function processTable(): ProcessTable {
  const children = new Map<number, Process[]>();
  for (const name of readdirSync("/proc")) {
    const { parent, state } = (/^\d+$/.test(name) && statusOf(name)) || {};
    if (parent === undefined || state === undefined) continue;
    children.set(parent, [...(children.get(parent) ?? []), { pid: Number(name), state }]);
  }
  return children;
}

/** Every living process below `pid`. */
export function descendants(pid: number, table = processTable()): readonly Process[] {
  const found: Process[] = [];
  for (let next = table.get(pid) ?? []; next.length > 0; next = next.flatMap((of) => table.get(of.pid) ?? [])) {
    found.push(...next);
  }
  return found;
}

/** Sends a signal to everything below; stopped first by the caller, nothing is born meanwhile. */
export function signalDescendants(pid: number, name: NodeJS.Signals): number {
  const all = descendants(pid);
  for (const each of all) signalIfThere(each.pid, name);
  return all.length;
}

export function signalIfThere(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch (error) {
    if (!isErrno(error, "ESRCH")) throw error;
    return false;
  }
}

/** Resolves when the process and all below it stand still; rejects when that takes longer than `timeoutMs` (they go on then). */
export async function stopTree(root: Identity, timeoutMs: number): Promise<void> {
  const end = performance.now() + timeoutMs;
  signal(root, "SIGSTOP");
  // Again, for what was forked meanwhile, and for what another one sent on before it stood still itself.
  for (let round = 0; lives(root); round++) {
    const table = processTable();
    const going = descendants(root.pid, table).filter((each) => !standsStill(each, table, round));
    if (going.length === 0 && isStopped(String(root.pid))) return;
    if (performance.now() > end) {
      continueTree(root);
      throw new Error(`processes did not stand still within ${timeoutMs} ms`);
    }
    for (const { pid } of going) signalIfThere(pid, "SIGSTOP");
    await sleep(1);
  }
}

export function continueTree(root: Identity): void {
  if (!lives(root)) return;
  signalDescendants(root.pid, "SIGCONT");
  signal(root, "SIGCONT");
}

/** Ends a process and all below it from outside. */
export async function killTree(root: Identity): Promise<void> {
  signal(root, "SIGSTOP");
  if (lives(root)) signalDescendants(root.pid, "SIGKILL");
  signal(root, "SIGKILL");
  if (!(await waitUntilDead(root, 10_000))) throw new Error(`process ${root.pid} did not die within 10 s of SIGKILL`);
}

/** After a vfork a parent cannot stand still before its child has begun a program, which it does not while it is stopped: it waits. */
function standsStill({ pid, state }: Process, table: ProcessTable, round: number): boolean {
  const children = table.get(pid) ?? [];
  const waits = state === "D" && round > VFORK_ROUNDS && children.length > 0;
  return STOPPED.test(state) || (waits && children.every((child) => STOPPED.test(child.state)));
}

const STOPPED = /[Tt]/;
const VFORK_ROUNDS = 50;

function isStopped(pid: string): boolean {
  return STOPPED.test(statusOf(pid)?.state ?? "T");
}

function statusOf(pid: string): { readonly parent: number; readonly state: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state = "", parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" || state === "X" ? undefined : { parent: Number(parent), state };
  } catch {
    return undefined;
  }
}
