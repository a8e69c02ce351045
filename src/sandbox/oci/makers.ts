import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isErrno } from "../identity.ts";

/** In the environment of every program that makes a sandbox, with the sandbox's id. Nothing inside the sandbox has it. */
export const MAKING = "SANDLOT_MAKING";

/** Ends the programs that still make the sandbox: they outlive a launcher that was killed, and would go on behind the back of whoever removes what they make. */
export async function endMakers(id: string, timeoutMs: number): Promise<void> {
  const end = performance.now() + timeoutMs;
  // Again, for what was started meanwhile, until none is seen.
  for (let pauseMs = 0.5; ; pauseMs = Math.min(pauseMs * 2, 20)) {
    const makers = makersOf(id);
    if (makers.length === 0) return;
    if (performance.now() > end) throw new Error(`the processes ${makers.join(", ")}, which make ${id}, do not die`);
    for (const pid of makers) kill(pid);
    await sleep(pauseMs);
  }
}

function makersOf(id: string): readonly number[] {
  const mark = `${MAKING}=${id}`;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => environmentOf(pid).split("\0").includes(mark))
    .map(Number);
}

/** Empty for a process that is dead, also while nobody has asked for its exit. */
function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1");
  } catch {
    return "";
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!isErrno(error, "ESRCH")) throw error;
  }
}
