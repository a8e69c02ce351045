import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** Names one process for ever: a process id alone is used again, also after a reboot. */
export interface Identity {
  readonly pid: number;
  /** Clock ticks between boot and the start of the process. */
  readonly startTicks: number;
  readonly bootId: string;
}

/** Undefined when no such process lives (a zombie is dead). */
export function identify(pid: number): Identity | undefined {
  const startTicks = startOf(pid);
  return startTicks === undefined ? undefined : { pid, startTicks, bootId: bootId() };
}

export function lives(identity: Identity): boolean {
  return startOf(identity.pid) === identity.startTicks && identity.bootId === bootId();
}

/** Sends a signal to exactly that process; nothing happens when it is gone. */
export function signal(identity: Identity, name: NodeJS.Signals): void {
  if (!lives(identity)) return;
  try {
    process.kill(identity.pid, name);
  } catch (error) {
    if (!isErrno(error, "ESRCH")) throw error;
  }
}

/** Resolves to false when it still lives at the end of the time. A namespace's PID 1 that is dead has no processes below it any more. */
export async function waitUntilDead(identity: Identity, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  for (let pauseMs = 0.5; lives(identity); pauseMs = Math.min(pauseMs * 1.5, 20)) {
    if (performance.now() > end) return false;
    await sleep(pauseMs);
  }
  return true;
}

export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

let knownBootId: string | undefined;

function bootId(): string {
  knownBootId ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return knownBootId;
}

function startOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in brackets may hold anything: fields are counted from the last bracket.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : Number(fields[19]);
  } catch {
    return undefined;
  }
}
