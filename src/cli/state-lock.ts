import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { SandlotError } from "../errors.ts";

export interface StateLock {
  /** Tells who looks at the lock where this server listens. */
  announce(address: string): void;
  release(): void;
}

/**
 * Makes this process the only writer of a state folder. Node has no flock(2), but a lock belongs to the open file and not to the
 * process that asked for it: `flock` of util-linux takes it on our descriptor, and the kernel lets go of it when this process ends,
 * in whatever way. Fault `invalid` when another process has it.
 */
export async function lockState(stateDir: string): Promise<StateLock> {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const path = join(stateDir, "lock");
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    if (!(await takes(file))) throw inUse(stateDir, readFileSync(path, "utf8"));
  } catch (error) {
    closeSync(file);
    throw error;
  }
  const write = (text: string): void => {
    ftruncateSync(file);
    writeSync(file, text, 0);
  };
  write(`${process.pid}\n`);
  return {
    announce: (address) => write(`${process.pid} ${address}\n`),
    release: () => closeSync(file),
  };
}

async function takes(file: number): Promise<boolean> {
  const flock = spawn("flock", ["--nonblock", "3"], { stdio: ["ignore", "ignore", "ignore", file] });
  const [code] = await once(flock, "close").catch((cause: unknown) => {
    throw new SandlotError("unsupported", "expected the program flock on PATH; install util-linux", { cause });
  });
  return code === 0;
}

function inUse(stateDir: string, text: string): SandlotError {
  const [pid = "unknown", address] = text.trim().split(" ");
  const instead = address === undefined ? "" : `, ask it by --server ${address}`;
  return new SandlotError(
    "invalid",
    `The state folder ${stateDir} is in use by the process ${pid}: stop it${instead}, or name another folder by --state`,
    { field: "state_dir", knob: "state_dir" },
  );
}
